package host_test

import (
	"strings"
	"testing"

	"github.com/hearthhost/hearth/client"
)

// TestListingsFollow: what a listing remembers of a principal follows the objects, the policy, and the facts
// of each connection.
func TestListingsFollow(t *testing.T) {
	l := liveHost(t, everything)
	count := func(c *client.Client) int64 {
		t.Helper()
		n, err := c.Object("Pyro.NameServer").Call(t.Context(), "count")
		if err != nil {
			t.Fatal(err)
		}
		return n.(int64)
	}
	before := count(l.c)
	if n := count(l.c); n != before {
		t.Errorf("counted again: %d, %d at first", n, before)
	}
	l.put("scripts/acme/listed.lua", version(1))
	l.reload()
	if n := count(l.c); n != before+1 {
		t.Errorf("with one more object: %d, %d before", n, before)
	}
	// A condition that does not hold by TCP, and one that does.
	const permit = "objects    = [\"acme.*\"]\n  tracebacks = true"
	for when, want := range map[string]int64{`caller.channel == "unix"`: 1, `caller.channel == "tcp"`: before + 1, `object.name == "listed"`: 2} {
		l.put("policy.hcl", strings.Replace(everything, permit, permit+"\n  when = "+when, 1))
		l.reload()
		if n := count(l.c); n != want {
			t.Errorf("when %s: %d, want %d", when, n, want)
		}
	}
	l.put("policy.hcl", strings.Replace(everything, permit, strings.Replace(permit, "acme.*", "acme.echo", 1), 1))
	l.reload()
	if n := count(l.c); n != 2 {
		t.Errorf("with a permit of one object: %d", n)
	}
	all, err := l.c.Object("Pyro.NameServer").Call(t.Context(), "list")
	if err != nil {
		t.Fatal(err)
	}
	if names := all.(map[string]any); len(names) != 2 || names["acme.echo"] == nil {
		t.Errorf("list: %v", names)
	}
}
