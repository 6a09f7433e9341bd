package linktest

import (
	"fmt"
	"testing"
	"testing/synctest"
)

// Bubble runs f in a bubble of testing/synctest, on a goroutine of its own. A panic of f becomes a panic of the
// caller: rapid fails a check by a panic, and runs many checks within one test.
func Bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	var failure any
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		defer func() { failure = recover() }()
		f(t)
	})
	switch {
	case failure == nil:
	case fmt.Sprintf("%T", failure) == "rapid.invalidData":
		panic(failure) // on a line of its own: rapid tells panics apart by their lines when it shrinks a failure
	default:
		panic(failure)
	}
}
