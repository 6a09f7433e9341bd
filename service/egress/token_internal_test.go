package egress

import (
	"fmt"
	"strings"
	"testing"
)

// TestLatestTokens: the latest tokens are replaced in responses, and an issuer of many tokens does not make the list
// grow.
func TestLatestTokens(t *testing.T) {
	x := newTokens()
	for i := range 3 * maxLast {
		x.markLocked("api token", fmt.Sprintf("token-%04d", i))
	}
	for i, want := range map[int]bool{3*maxLast - 1: true, 2 * maxLast: true, 2*maxLast - 1: false} {
		text := fmt.Sprintf("a token-%04d b", i)
		if got := x.redact(text); strings.Contains(got, "[secret api token]") != want {
			t.Errorf("redact(%q) = %q", text, got)
		}
	}
	if len(x.last) != maxLast {
		t.Errorf("%d tokens are kept", len(x.last))
	}
}
