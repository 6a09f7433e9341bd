package policyflag_test

import (
	"os"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/internal/cli/policyflag"
)

// TestLoad loads the built-in policy, the file of the current directory, and a file that does not exist.
func TestLoad(t *testing.T) {
	t.Chdir(t.TempDir())
	f := policyflag.Flags{Dir: "."}
	if p, from, err := f.Load(); err != nil || !p.AllTenants || from != "the built-in policy (no policy.hcl here)" {
		t.Errorf("without a file: %v, %s, %v", p, from, err)
	}
	const text = "listener \"tcp\" { address = \"127.0.0.1:0\" }\n"
	if err := os.WriteFile(policyflag.DefaultFile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, from, err := f.Load(); err != nil || p.AllTenants || from != policyflag.DefaultFile {
		t.Errorf("with a file: %v, %s, %v", p, from, err)
	}
	f.File = "other.hcl"
	if _, _, err := f.Load(); err == nil || !strings.Contains(err.Error(), "policy file other.hcl not found") {
		t.Errorf("a missing file: %v", err)
	}
}
