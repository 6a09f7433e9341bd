package main_test

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/launch"
	"github.com/hearthhost/hearth/sandbox/script"
	"github.com/hearthhost/hearth/sandbox/supervise"
)

// BenchmarkColdStart measures the first call of a tenant whose worker does not run, from
// the host's decision to its answer, with the real binary: with a worker to be started
// (prewarm=0), and with one that waits for its tenant (prewarm=1).
func BenchmarkColdStart(b *testing.B) {
	bin := filepath.Join(b.TempDir(), "hearth")
	buildHearth(b, bin)
	source := script.Script{File: "acme/echo.lua", Source: []byte(`
local Echo = hearth.object {}
function Echo.expose:echo(v) return v end
return Echo`)}
	version := script.NewVersion("acme.echo", source, script.NewLibs(nil), object.Limits{})
	argv := []string{bin, "worker"}
	for _, most := range []int{0, 1} {
		b.Run(fmt.Sprintf("prewarm=%d", most), func(b *testing.B) {
			pool := launch.NewPool(argv, most, slog.New(slog.DiscardHandler))
			defer pool.Close()
			pool.Fill()
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for b.Loop() {
				b.StopTimer()
				for len(pool.Ready()) < most {
					<-tick.C
				}
				b.StartTimer()
				tenant := supervise.New(supervise.Config{Tenant: "acme", Argv: argv, Pool: pool}, version)
				r, err := tenant.Invoke(b.Context(), &object.Call{ID: "acme.echo", Kind: object.Invoke, Method: "echo",
					Format:  "pyro5/json",
					Payload: []byte(`{"object":"acme.echo","method":"echo","params":["x"],"kwargs":{}}`)})
				b.StopTimer()
				if err != nil || r.Exception {
					b.Fatal(err, string(r.Payload))
				}
				_ = tenant.Close(b.Context())
				b.StartTimer()
			}
		})
	}
}
