package host_test

import (
	"testing"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/host"
)

// TestObjectCallsInFlight checks that the host counts the bytes of arguments and results of calls between objects, and
// releases them.
func TestObjectCallsInFlight(t *testing.T) {
	h, _ := startHost(t, everything+`
permit "the hoarder echoes" {
  principals = ["object:acme.hoarder"]
  objects    = ["acme.echo"]
}
`, script(t, "acme/hoarder.lua", `
local H = hearth.object { instance = "call" }
function H.expose:send(n) return #hearth.proxy("acme.echo"):echo(("x"):rep(n)) end
function H.expose:fetch(n) return #hearth.proxy("acme.echo"):controls(n) end
return H`))
	host.SetMaxBytesInFlight(h, 1<<20)
	hoarder := dial(t, h.Addrs()[0], client.Config{}).Object("acme.hoarder")
	const full = "too many bytes in flight of the host: limit 1 MiB; "
	_, err := hoarder.Call(t.Context(), "send", 2<<20)
	wantRemote(t, err, "", full+"not executed")
	_, err = hoarder.Call(t.Context(), "fetch", 1<<20)
	wantRemote(t, err, "", full+"the call was executed, its result is lost")
	for range 20 {
		if got, err := hoarder.Call(t.Context(), "send", 100_000); err != nil || got != int64(100_000) {
			t.Fatalf("a call below the limit: %v, %v", got, err)
		}
	}
}
