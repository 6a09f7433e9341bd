package folder_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/host/folder"
)

// TestPolicyFileOwner has another user own the policy file, or its folder, where that user could replace it.
func TestPolicyFileOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make a file of another user")
	}
	const other = 12345
	dir := t.TempDir()
	file := filepath.Join(dir, "policy.hcl")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := folder.CheckPolicyFile(file); err != nil {
		t.Errorf("a file of this user: %v", err)
	}
	for _, path := range []string{file, dir} {
		if err := os.Chown(path, other, -1); err != nil {
			t.Fatal(err)
		}
		if err := folder.CheckPolicyFile(file); err == nil || !strings.Contains(err.Error(), "12345") {
			t.Errorf("%s belongs to another user: %v", path, err)
		}
		if err := os.Chown(path, 0, -1); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"", filepath.Join(dir, "none")} {
		if err := folder.CheckPolicyFile(path); err != nil {
			t.Errorf("%q: %v", path, err)
		}
	}
}
