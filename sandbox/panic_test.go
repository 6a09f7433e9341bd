package sandbox

import (
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
)

// TestPanicNamesItsPlace checks that a Go panic while a script runs is an internal error with its stack, for the host's
// log.
func TestPanicNamesItsPlace(t *testing.T) {
	s := &State{p: &Program{id: "acme.x"}}
	var err error
	func() {
		defer s.recovered(nil, &err)
		breaks()
	}()
	if object.CodeOf(err) != object.CodeInternal {
		t.Fatalf("error = %v", err)
	}
	for _, part := range []string{"running acme.x: panic: out of range; at ", "sandbox.breaks panic_test.go:"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error = %q, want %q in it", err, part)
		}
	}
}

func breaks() { panic("out of range") }
