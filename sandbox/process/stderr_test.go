package process

import (
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
)

// TestLastWords adds the last output of a worker's runtime to the cause of its end, up to a bound.
func TestLastWords(t *testing.T) {
	owner := newTenant(Config{}, object.Limits{})
	for _, tc := range []struct{ printed, want string }{
		{"", ""},
		{"fatal error: runtime: out of memory\n\nruntime stack:\n", `, out of memory: limits { memory = "…" }`},
		{"runtime: cannot allocate memory\nfatal error: x\n", ", out of memory: "},
		{"SIGSYS: bad system call\nPC=0x4\n", ", SIGSYS: bad system call"},
		{strings.Repeat("é", 10000) + "\n", ", " + strings.Repeat("é", maxReasonBytes/2)},
		{"\nlater", ""},
	} {
		p := &Process{cfg: owner.cfg, owner: owner}
		got := exitReason(p.relay(strings.NewReader(tc.printed)))
		if !strings.HasPrefix(got, tc.want) || tc.want == "" && got != "" || len(got) > maxReasonBytes+len(", ") {
			t.Errorf("of %.40q: %q, want %q", tc.printed, got, tc.want)
		}
	}
}
