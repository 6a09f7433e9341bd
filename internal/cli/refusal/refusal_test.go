package refusal_test

import (
	"bytes"
	"testing"

	"github.com/hearthhost/hearth/host/fault"
	"github.com/hearthhost/hearth/internal/cli/refusal"
)

// TestPrint: a line begins with its object or file once, and a name of a file cannot forge a line.
func TestPrint(t *testing.T) {
	t.Parallel()
	refused := []fault.Refusal{
		{ID: "acme.counter", Path: "scripts/acme/counter.lua", Err: "syntax error"},
		{Path: "policy.hcl", Err: "policy.hcl:3: unknown name"},
		{Path: "/srv/keys/a", Err: "open /srv/keys/a: permission denied"},
		{Path: "scripts/x\nok", Err: "no tenant", Note: true},
	}
	var out bytes.Buffer
	if err := refusal.Print(&out, refused); err != nil {
		t.Fatal(err)
	}
	want := "acme.counter: syntax error\n" +
		"policy.hcl:3: unknown name\n" +
		"open /srv/keys/a: permission denied\n" +
		"note: scripts/x\n  ok: no tenant\n"
	if out.String() != want {
		t.Errorf("Print() wrote\n%s\nwant\n%s", &out, want)
	}
	if n := refusal.Faults(refused); n != 3 {
		t.Errorf("Faults() = %d, want 3", n)
	}
}
