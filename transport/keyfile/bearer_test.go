package keyfile_test

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/transport/keyfile"
)

// TestBearer checks that a file has the hash of a token only, and that kinds of keys are not mixed up.
func TestBearer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ci.bearer")
	k, token, err := keyfile.NewBearer("ci.1-x", now)
	if err != nil || !k.Bearer || k.Secret != sha256.Sum256([]byte(token)) {
		t.Fatalf("%v, %v", k, err)
	}
	if id, ok := keyfile.ParseToken(token); !ok || id != "ci.1-x" || len(token) > keyfile.MaxTokenBytes {
		t.Errorf("ParseToken(%q) = %q, %v", token, id, ok)
	}
	if err := keyfile.Create(path, k); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(path)
	if strings.Contains(string(text), token[len(token)-43:]) ||
		!strings.Contains(string(text), "hearth-bearer-1 ci.1-x ") {
		t.Errorf("the file: %s", text)
	}
	if got, err := keyfile.ReadBearer(path); err != nil || len(got) != 1 || got[0] != k {
		t.Errorf("ReadBearer: %v, %v", got, err)
	}
	if got, err := keyfile.Read(path); !errors.Is(err, keyfile.ErrLines) || len(got) != 0 ||
		!strings.Contains(err.Error(), "bearer of its principal") {
		t.Errorf("a bearer key as a key of the HMAC channel: %v, %v", got, err)
	}
	if err := os.WriteFile(path, append(text, line("alice")...), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := keyfile.ReadBearer(path); !errors.Is(err, keyfile.ErrLines) || len(got) != 1 {
		t.Errorf("a key of the HMAC channel as a bearer key: %v, %v", got, err)
	}
}

func TestParseToken(t *testing.T) {
	for _, token := range []string{
		"", "hk_", "hk_." + secret, "hk_a" + secret, "hk_a." + secret[1:], "hk_a/b." + secret, "HK_a." + secret,
		"hk_a." + secret + " ", " hk_a." + secret, "hk_" + strings.Repeat("a", 65) + "." + secret, "a." + secret,
	} {
		if id, ok := keyfile.ParseToken(token); ok {
			t.Errorf("ParseToken(%q) = %q", token, id)
		}
	}
}
