package client_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/client"
)

func profileFile(t *testing.T, dir, name, text string, mode fs.FileMode) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestProfileMistakes: the error for an invalid profile gives the line and the correction.
func TestProfileMistakes(t *testing.T) {
	for text, want := range map[string][]string{
		"{\n  \"address\": \"h:1\",\n  \"chanel\": \"tls\"\n}": {
			"p.json:3:", `unknown field "chanel"`, "channel, key",
		},
		"{\n  \"address\": \"h:1\",\n  \"channel\": \"tsl\"\n}": {
			"p.json:3:", `"tsl" is unknown; use plain, hmac or tls`,
		},
		"{\n  \"address\": 7766\n}": {
			"p.json:2:", "address: expected a JSON string", "number",
		},
		"{\n  \"address\": \"h:1\"\n  \"channel\": \"tls\"\n}": {"p.json:3:", "invalid character"},
		"{\"address\": \"h:1\", \"channel\": \"plain\"}\n{}":   {"p.json:2:", "more than one document"},
		"":   {"p.json:1:", "empty", "channel, key"},
		"[]": {"p.json:1:", "expected a JSON object", "array"},
		"{\n  \"address\": \"h:1\",\n  \"channel\": \"tls\", \"ca\": \"ca.pem\",\n  \"cert\": \"c.pem\"\n}": {
			"p.json:4:", "cert and cert_key require each other",
		},
	} {
		path := profileFile(t, t.TempDir(), "p.json", text, 0o600)
		_, err := client.LoadProfile(path)
		for _, part := range want {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s\nerror %v, want %q in it", text, err, part)
			}
		}
	}
}

// TestProfileFilesOfOthers: each file of a profile is rejected if other users can write it, and the private key if
// they can read it.
func TestProfileFilesOfOthers(t *testing.T) {
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	profileFile(t, dir, "ca.pem", encode("CERTIFICATE", der), 0o644)
	profileFile(t, dir, "c.pem", encode("CERTIFICATE", der), 0o644)
	profileFile(t, dir, "c.key", encode("PRIVATE KEY", private), 0o600)
	const profile = `{"address": "h:1", "channel": "tls", "ca": "ca.pem", "cert": "c.pem", "cert_key": "c.key"}`
	profileFile(t, dir, "p.json", profile, 0o644)
	load := func() error {
		p, err := client.LoadProfile(filepath.Join(dir, "p.json"))
		if err != nil {
			return err
		}
		return p.Apply(&client.Config{})
	}
	if err := load(); err != nil {
		t.Fatal(err)
	}
	for name, modes := range map[string][2]fs.FileMode{
		"p.json": {0o644, 0o666}, "ca.pem": {0o644, 0o646}, "c.pem": {0o644, 0o646}, "c.key": {0o600, 0o644},
	} {
		path := filepath.Join(dir, name)
		if err := os.Chmod(path, modes[1]); err != nil {
			t.Fatal(err)
		}
		err := load()
		if err == nil || !strings.Contains(err.Error(), "chmod") || !strings.Contains(err.Error(), path) {
			t.Errorf("%s of mode %o: %v, want a chmod command", name, modes[1], err)
		}
		if err := os.Chmod(path, modes[0]); err != nil {
			t.Fatal(err)
		}
	}
	for kind, headers := range map[string]map[string]string{
		"ENCRYPTED PRIVATE KEY": nil, "EC PRIVATE KEY": {"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"},
	} {
		text := pem.EncodeToMemory(&pem.Block{Type: kind, Headers: headers, Bytes: []byte("secret")})
		profileFile(t, dir, "c.key", string(text), 0o600)
		err := load()
		for _, part := range []string{"encrypted with a passphrase", "openssl pkey"} {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("a key of type %s: %v, want %q in it", kind, err, part)
			}
		}
	}
}
