package sandbox

import (
	"math/rand/v2"
	"regexp"
	"testing"
)

// TestUnaddressed leaves addresses out of messages as a regular expression would, which takes
// seconds for a long one.
func TestUnaddressed(t *testing.T) {
	address := regexp.MustCompile(`\b(table|function|userdata|thread|channel): 0x[0-9a-f]{1,12}\b`)
	pieces := []string{"table", "function", "userdata", "thread", "channel", ": 0x", ": 0x", ": 0x", "c000a1", "0", "123456789abc", "F", "g", "_", " ", ": ", ":", "é", "with key 'table: 0xc000123456'"}
	random := rand.New(rand.NewPCG(1, 2))
	changed := 0
	for range 50_000 {
		msg := ""
		for range random.IntN(12) {
			msg += pieces[random.IntN(len(pieces))]
		}
		want := address.ReplaceAllString(msg, "$1")
		if got := unaddressed(msg); got != want {
			t.Fatalf("%q is told as %q, want %q", msg, got, want)
		}
		if want != msg {
			changed++
		}
	}
	if changed < 5000 {
		t.Errorf("only %d messages had an address", changed)
	}
}
