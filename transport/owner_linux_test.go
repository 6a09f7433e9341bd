package transport_test

import (
	"bufio"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/transport"
)

// listenOwn opens a socket for this user alone, and a channel of those that were refused.
func listenOwn(t *testing.T, path string) (*transport.OwnerListener, <-chan uint32) {
	t.Helper()
	refused := make(chan uint32, 8)
	l, err := transport.ListenOwner(t.Context(), path, func(uid uint32) { refused <- uid })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, refused
}

func TestOwnTakesItsUser(t *testing.T) {
	path := filepath.Join(folder(t), "made", "s")
	l, _ := listenOwn(t, path)
	for name, want := range map[string]fs.FileMode{path: fs.ModeSocket | 0o600,
		filepath.Dir(path): fs.ModeDir | 0o700} {
		info, err := os.Lstat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode(), want)
		}
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	mine, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	mine.Close()
	if _, err := transport.ListenOwner(t.Context(), path, nil); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a second one: %v, want that it is in use", err)
	}
	l.Close()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close = %v", err)
	}
	_, err = transport.ListenOwner(t.Context(), "/tmp/"+strings.Repeat("x", 100), nil)
	if object.CodeOf(err) != object.CodeTooLarge {
		t.Errorf("a long path: %v, want that it is too long", err)
	}
}

// TestOwnRefusesOthers attacks twice: by the file's mode, and, were that opened by a
// mistake, by the kernel's word on who connects.
func TestOwnRefusesOthers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may become another user")
	}
	path := filepath.Join(folder(t), "s")
	l, refused := listenOwn(t, path)
	bin := attacker(t)
	out, _ := asStranger(t, bin, "unix", path).Output()
	if !strings.Contains(string(out), "permission denied") {
		t.Errorf("another user at the file: %q, want that it is denied", out)
	}

	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	cmd := asStranger(t, bin, "unix", path)
	stop, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	said, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(said).ReadString('\n'); line != "connected\n" {
		t.Fatalf("the other user: %q, %v", line, err)
	}
	// The next that is accepted is ours: the other user's came first.
	own, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if _, err := own.Write([]byte("mine")); err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got := make([]byte, 4)
	if _, err := c.Read(got); err != nil || string(got) != "mine" {
		t.Errorf("accepted a connection that sent %q, %v; want ours", got, err)
	}
	if uid := <-refused; uid != stranger {
		t.Errorf("refused uid %d, want %d", uid, stranger)
	}
	stop.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("the other user: %v", err)
	}
}
