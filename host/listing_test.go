package host_test

import (
	"strings"
	"testing"

	"github.com/hearthhost/hearth/client"
)

// TestListingCache changes the objects and the policy between listings: cached listings of a principal are updated.
// They also depend on the attributes of each connection.
func TestListingCache(t *testing.T) {
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
		t.Errorf("second count: %d, first count: %d", n, before)
	}
	l.put("scripts/acme/listed.lua", version(1))
	l.reload()
	if n := count(l.c); n != before+1 {
		t.Errorf("with one more object: %d, before: %d", n, before)
	}
	// The connection uses TCP: the first condition is false, the second is true.
	const permit = "objects    = [\"acme.*\"]\n  tracebacks = true"
	for when, want := range map[string]int64{
		`caller.channel == "unix"`: 1,
		`caller.channel == "tcp"`:  before + 1,
		`object.name == "listed"`:  2,
	} {
		l.put("policy.hcl", strings.Replace(everything, permit, permit+"\n  when = "+when, 1))
		l.reload()
		if n := count(l.c); n != want {
			t.Errorf("when %s: %d, want %d", when, n, want)
		}
	}
	l.put("policy.hcl", strings.Replace(everything, permit, strings.Replace(permit, "acme.*", "acme.echo", 1), 1))
	l.reload()
	if n := count(l.c); n != 2 {
		t.Errorf("with a permit for one object: %d, want 2", n)
	}
	all, err := l.c.Object("Pyro.NameServer").Call(t.Context(), "list")
	if err != nil {
		t.Fatal(err)
	}
	if names := all.(map[string]any); len(names) != 2 || names["acme.echo"] == nil {
		t.Errorf("list: %v", names)
	}
}
