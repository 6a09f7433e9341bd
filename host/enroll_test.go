package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/transport/enroll"
)

// withToken returns a host, its folder of tokens, a token, and a connection that was opened
// with it.
func withToken(t *testing.T) (*Host, string, *enroll.Token, *conn) {
	t.Helper()
	h, _ := gatedHost(t, newGate())
	dir := h.snap.Load().vault.tokenFolder()
	tok, err := enroll.New(dir, "alice", enroll.Key, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return h, dir, tok, &conn{caller: object.Caller{Principal: object.Principal(enrollPrefix + tok.ID)}}
}

// TestEnrolmentCutShort has an enrolment fail after the proof was made and before the
// token says so: only who began it gets another.
func TestEnrolmentCutShort(t *testing.T) {
	h, _, _, c := withToken(t)
	lost := errors.New("no space left")
	if _, err := h.enroll(c, enroll.Key, []byte("mine"), func(*enroll.Token) (map[string]string, error) { return nil, lost }); !errors.Is(err, lost) {
		t.Fatalf("enroll() = %v", err)
	}
	proofs := 0
	issue := func(*enroll.Token) (map[string]string, error) {
		proofs++
		return map[string]string{"principal": "alice"}, nil
	}
	if _, err := h.enroll(c, enroll.Key, []byte("theirs"), issue); err == nil || proofs != 0 {
		t.Errorf("somebody else got %d proofs, %v", proofs, err)
	}
	for range 2 {
		if _, err := h.enroll(c, enroll.Key, []byte("mine"), issue); err != nil || proofs != 1 {
			t.Errorf("who began it got %d proofs, %v; want one", proofs, err)
		}
	}
}

// TestTokenRevokedWhileUsed removes a token in the midst of an enrolment: it stays removed.
func TestTokenRevokedWhileUsed(t *testing.T) {
	h, dir, tok, c := withToken(t)
	removed := make(chan error, 1)
	_, err := h.enroll(c, enroll.Key, []byte("mine"), func(*enroll.Token) (map[string]string, error) {
		go func() { removed <- enroll.Remove(dir, tok.ID) }()
		if !locked(t, dir) { // then it happens now
			removed <- <-removed
		}
		return map[string]string{"principal": "alice"}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-removed; err != nil {
		t.Errorf("Remove() = %v", err)
	}
	if _, err := enroll.Read(dir, tok.ID); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the token that was removed: %v", err)
	}
}

// locked reports whether somebody holds the lock of a folder.
func locked(t *testing.T, dir string) bool {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, ".lock"))
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}
