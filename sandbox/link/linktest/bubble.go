package linktest

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
)

// Bubble runs f in a new goroutine, within a bubble of testing/synctest. A panic of f becomes a panic of the
// caller: rapid fails a check by a panic, and runs many checks within one test.
func Bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	var failure any
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		defer func() {
			failure = recover()
			synctest.Wait()
			if stacks := remaining(); stacks != "" {
				t.Errorf("goroutines that remain:\n%s", stacks)
			}
		}()
		f(t)
	})
	switch {
	case failure == nil:
	case fmt.Sprintf("%T", failure) == "rapid.invalidData":
		panic(failure) // a separate line: when rapid shrinks a failure it identifies a panic by its line
	default:
		panic(failure)
	}
}

// remaining returns the stacks of the other goroutines of the caller's bubble. They never end, since no time passes
// after f.
func remaining() string {
	buf := make([]byte, 1<<20)
	stacks := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
	_, bubble, _ := strings.Cut(stacks[0], "synctest bubble ")
	bubble, _, _ = strings.Cut(bubble, "]")
	var all []string
	for _, stack := range stacks[1:] {
		head, frames, _ := strings.Cut(stack, "\n")
		own := strings.Contains(head, "synctest.Run") || strings.HasPrefix(frames, "testing/synctest.")
		if !own && strings.HasSuffix(head, "synctest bubble "+bubble+"]:") {
			all = append(all, stack)
		}
	}
	return strings.Join(all, "\n\n")
}
