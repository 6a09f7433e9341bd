package enroll_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/transport/enroll"
)

var now = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func TestTokens(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "enroll")
	if all, err := enroll.List(dir); len(all) != 0 || err != nil {
		t.Errorf("no folder: %v, %v", all, err)
	}
	tok, err := enroll.New(dir, "alice", enroll.Cert, time.Hour, now)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := enroll.ParseText(tok.Text() + "\n")
	if err != nil || parsed.ID != tok.ID || parsed.Secret != tok.Secret {
		t.Errorf("ParseText() = %v, %v", parsed, err)
	}
	if s := fmt.Sprintf("%v %+v %#v", tok, tok, tok); strings.Contains(s, tok.Secret) {
		t.Errorf("a token printed itself: %s", s)
	}
	if _, used, err := tok.Used([]byte("a")); used || err != nil {
		t.Errorf("a new token: %v, %v", used, err)
	}
	if err := tok.Bind(dir, []byte("a"), map[string]string{"k": "v"}); err != nil {
		t.Fatal(err)
	}
	again, err := enroll.Read(dir, tok.ID)
	if err != nil || again.Principal != "alice" || again.Kind != enroll.Cert ||
		!again.Expires.Equal(now.Add(time.Hour)) {
		t.Errorf("Read() = %+v, %v", again, err)
	}
	if reply, used, err := again.Used([]byte("a")); !used || err != nil || reply["k"] != "v" {
		t.Errorf("the same client again: %v, %v, %v", reply, used, err)
	}
	if _, _, err := again.Used([]byte("b")); !errors.Is(err, enroll.ErrTaken) {
		t.Errorf("another client: %v", err)
	}
	if err := os.Chmod(filepath.Join(dir, tok.ID+".json"), 0o644); err != nil {
		t.Fatal(err)
	}
	if all, err := enroll.List(dir); len(all) != 0 || err == nil {
		t.Errorf("a token that others can read: %v, %v", all, err)
	}
	if err := enroll.Remove(dir, tok.ID); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", "enroll-", "enroll-0000000g", "enroll-00000000/..", "../enroll-00000000"} {
		if _, err := enroll.Read(dir, id); err == nil || os.IsNotExist(err) {
			t.Errorf("Read(%q) = %v", id, err)
		}
		if err := enroll.Remove(dir, id); err == nil || os.IsNotExist(err) {
			t.Errorf("Remove(%q) = %v", id, err)
		}
	}
	for _, text := range []string{"", "hearth-enroll-1.x.y", "hearth-enroll-1.both.enroll-00000000.x",
		tok.Text()[:len(tok.Text())-1], tok.Text() + "x", strings.Replace(tok.Text(), "-1.", "-2.", 1)} {
		if _, err := enroll.ParseText(text); err == nil {
			t.Errorf("ParseText(%q): no error", text)
		}
	}
}

func TestBothSidesDeriveOneKey(t *testing.T) {
	a, _ := ecdh.X25519().GenerateKey(rand.Reader)
	b, _ := ecdh.X25519().GenerateKey(rand.Reader)
	one, _ := a.ECDH(b.PublicKey())
	two, _ := b.ECDH(a.PublicKey())
	k1, err1 := enroll.DeriveKey(one, a.PublicKey().Bytes(), b.PublicKey().Bytes(), "enroll-1")
	k2, err2 := enroll.DeriveKey(two, a.PublicKey().Bytes(), b.PublicKey().Bytes(), "enroll-1")
	k3, _ := enroll.DeriveKey(two, a.PublicKey().Bytes(), b.PublicKey().Bytes(), "enroll-2")
	if err1 != nil || err2 != nil || k1 != k2 || k1 == k3 {
		t.Error("the sides do not agree, or agree on too much")
	}
}
