package account

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestAccount(t *testing.T) {
	if uid, err := Lookup("root"); uid != 0 || err != nil {
		t.Errorf("root: %d, %v", uid, err)
	}
	if _, err := Lookup("no-such-account-here"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a missing account: %v, want %v", err, ErrNotFound)
	}
}

// TestListed checks that a line of a file in the format of passwd(5) decides, and that damaged lines do not.
func TestListed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "passwd")
	text := "root:x:0:0::/root:/bin/sh\nhalf:x\nann:x:1000:1000::/home/ann:/bin/sh\nann:x:1001:1001::/:/bin/sh\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, uid string
		want      bool
	}{
		{"ann", "1000", true}, {"ann", "1001", false}, {"ann", "100", false}, {"half", "", false},
		{"bob", "1000", false},
	} {
		if got := listed(file, tt.name, tt.uid); got != tt.want {
			t.Errorf("listed(%s, %s) = %t, want %t", tt.name, tt.uid, got, tt.want)
		}
	}
	if listed(file+".missing", "ann", "1000") {
		t.Error("a missing file has an account")
	}
}
