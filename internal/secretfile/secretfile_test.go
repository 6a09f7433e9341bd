package secretfile_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/hearthhost/hearth/internal/secretfile"
)

// newIdentity writes an identity file and returns its path.
func newIdentity(t *testing.T, name string) string {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte("# a comment\n"+id.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	value := []byte("hunter22\x00\xff\n")
	for name, identity := range map[string]string{"plain": "", "age": newIdentity(t, "host.age")} {
		path := filepath.Join(t.TempDir(), "new", "smtp")
		for range 2 { // created, then replaced
			if err := secretfile.Write(path, identity, value); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		got, err := secretfile.Read(path, identity)
		if err != nil || !bytes.Equal(got, value) {
			t.Errorf("%s: Read = %q, %v", name, got, err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
		raw, _ := os.ReadFile(path)
		if identity != "" && bytes.Contains(raw, []byte("hunter22")) {
			t.Error("the encrypted file holds the value")
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	dir, mine, other := t.TempDir(), newIdentity(t, "mine"), newIdentity(t, "other")
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	foreign := filepath.Join(dir, "foreign")
	if err := secretfile.Write(foreign, other, []byte("hunter22")); err != nil {
		t.Fatal(err)
	}
	cut, _ := os.ReadFile(foreign)
	for _, row := range []struct{ name, path, identity, want string }{
		{"loose", file("loose", "hunter22", 0o644), "", "run chmod 600"},
		{"short", file("short", "abcde", 0o600), "", "holds 5 bytes"},
		{"white space", file("white", "  abcd   \n\n", 0o600), "", "holds 4 bytes"},
		{"long", file("long", strings.Repeat("x", secretfile.MaxBytes+1), 0o600), "", "larger than 65536"},
		{"missing", filepath.Join(dir, "missing"), "", "no such file"},
		{"not age", file("plain", "hunter22", 0o600), mine, "not a file that age encrypted"},
		{"another's", foreign, mine, "not encrypted to an identity of"},
		{"cut", file("cut", string(cut[:len(cut)-3]), 0o600), other, "damaged"},
		{"no identity", foreign, filepath.Join(dir, "none"), "age-keygen -o"},
		{"loose identity", foreign, file("id", "x", 0o640), "run chmod 600"},
		{"bad identity", foreign, file("bad", "AGE-SECRET-KEY-1HUNTER22\n", 0o600), "no age identities"},
	} {
		_, err := secretfile.Read(row.path, row.identity)
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", row.name, err, row.want)
		}
		if err != nil && strings.Contains(strings.ToLower(err.Error()), "hunter22") {
			t.Errorf("%s: the error holds the content: %v", row.name, err)
		}
	}
	if err := secretfile.Write(filepath.Join(dir, "w"), "", []byte("short")); err == nil {
		t.Error("a value of 5 bytes was written")
	}
	if err := os.Symlink("loose", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	err := secretfile.Write(filepath.Join(dir, "link"), "", []byte("hunter22"))
	if err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a link was replaced: %v", err)
	}
}
