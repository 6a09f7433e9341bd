package shell_test

import (
	"os/exec"
	"testing"

	"github.com/hearthhost/hearth/internal/shell"
)

func TestQuote(t *testing.T) {
	for _, s := range []string{"", "plain", "/srv/hearth/policy.hcl", "unix:/run/a b/h.sock", "it's", "$(reboot)",
		"`x`",
		`a\b"c"`, "a;b", "a\nb", "*", "~", "é", "[::1]:7766", "a#b", "!x", "'", "a=b"} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+shell.Quote(s)).Output()
		if err != nil || string(out) != s {
			t.Errorf("Quote(%q) = %s, which a shell reads as %q, %v", s, shell.Quote(s), out, err)
		}
	}
	if got := shell.Quote("=ls"); got != "'=ls'" {
		t.Errorf("Quote(=ls) = %s", got)
	}
	for path, want := range map[string]string{
		"state/hearth.sock": "state/hearth.sock",
		"my keys/alice.key": "'my keys/alice.key'",
		"-rf":               "./-rf",
		"-r f":              "'./-r f'",
	} {
		if got := shell.Path(path); got != want {
			t.Errorf("Path(%q) = %s, want %s", path, got, want)
		}
	}
}
