package transport_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/transport"
)

// folder returns a folder whose path is short enough for a socket and which every user
// may enter, unlike t.TempDir.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hearth") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func listen(t testing.TB, addr string) *transport.Listener {
	t.Helper()
	l, err := transport.Listen(t.Context(), transport.Config{Address: addr, Plain: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestRefusedAddresses(t *testing.T) {
	for _, addr := range []string{
		"", ":7766", "7766", "127.0.0.1", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "localhost:0", "example.org:80",
		"[::ffff:127.0.0.1]:0", "[::1%lo]:0", "127.0.0.1:x", "127.0.0.1:70000", "unix:", "unix:@abstract",
		"unix:\x00abstract",
		"unix:/tmp/a\x00b", "unix:" + strings.Repeat("x", 104), "tcp:127.0.0.1:0", "/tmp/socket",
	} {
		l, err := transport.Listen(t.Context(), transport.Config{Address: addr, Plain: true})
		if err == nil {
			l.Close()
			t.Errorf("Listen(%q) listens on %s, want an error", addr, l.Addr())
			continue
		}
		if object.CodeOf(err) != object.CodeInvalid {
			t.Errorf("Listen(%q) = %v, want code invalid", addr, err)
		}
	}
}

func TestMethods(t *testing.T) {
	for method, ok := range map[string]bool{"peer": true, "pyro4-hmac": true, "hmac": false, "cert": false, "": false,
		"Peer": false} {
		l, err := transport.Listen(t.Context(),
			transport.Config{Address: "127.0.0.1:0", Identify: []string{method}, Plain: true})
		if (err == nil) != ok {
			t.Errorf("Listen(identify %q) = %v", method, err)
		}
		if err == nil {
			l.Close()
		} else if !strings.Contains(err.Error(), "the methods are peer") && !strings.Contains(err.Error(), "without") {
			t.Errorf("Listen(identify %q) = %v, want the list of methods or the missing setting", method, err)
		}
	}
}

func TestAddrSaysTheRealPort(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "127.0.0.9", "::1"} {
		if host == "::1" && !hasIPv6() {
			continue
		}
		l := listen(t, net.JoinHostPort(host, "0"))
		got, port, err := net.SplitHostPort(l.Addr())
		if err != nil || got != host || port == "0" {
			t.Errorf("Addr() = %q, want %s and a port", l.Addr(), host)
		}
		c, err := net.Dial("tcp", l.Addr())
		if err != nil {
			t.Errorf("dialling %s: %v", l.Addr(), err)
			continue
		}
		c.Close()
	}
}

func TestPortThatIsTaken(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	_, err := transport.Listen(t.Context(), transport.Config{Address: l.Addr(), Plain: true})
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Listen = %v, want EADDRINUSE", err)
	}
}

func TestCloseEndsAccept(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "unix:" + filepath.Join(folder(t), "s")} {
		l := listen(t, addr)
		done := make(chan error)
		go func() {
			_, err := l.Accept()
			done <- err
		}()
		if err := l.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept() = %v, want net.ErrClosed", err)
		}
		if err := l.Close(); err != nil {
			t.Errorf("second Close() = %v", err)
		}
	}
}

func TestSocketFile(t *testing.T) {
	// A umask that would keep others out.
	defer syscall.Umask(syscall.Umask(0o077))
	path := filepath.Join(folder(t), "state", "h.sock")
	l := listen(t, "unix:"+path)
	if l.Addr() != "unix:"+path {
		t.Errorf("Addr() = %q", l.Addr())
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o666 {
		t.Errorf("the socket: %v, %v; want mode 0666", info.Mode(), err)
	}
	l.Close()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Close: %v, want no file", err)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(folder(t), "s")
	stale(t, path)
	listen(t, "unix:"+path)
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// stale leaves a socket file without a listener, like a killed host.
func stale(t *testing.T, path string) {
	t.Helper()
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
}

func TestLiveSocketIsLeftAlone(t *testing.T) {
	path := filepath.Join(folder(t), "s")
	live := listen(t, "unix:"+path)
	_, err := transport.Listen(t.Context(), transport.Config{Address: "unix:" + path, Plain: true})
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "another host is serving on "+path) {
		t.Errorf("Listen = %v, want that another host is serving", err)
	}
	if _, err := live.Accept(); err != nil { // the probe
		t.Error(err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("the first host is gone: %v", err)
	}
	c.Close()
}

func TestOtherFilesAreLeftAlone(t *testing.T) {
	dir := folder(t)
	live := filepath.Join(dir, "live")
	stale(t, live)
	make := map[string]func(path string) error{
		"file":    func(p string) error { return os.WriteFile(p, []byte("precious"), 0o600) },
		"folder":  func(p string) error { return os.Mkdir(p, 0o700) },
		"link":    func(p string) error { return os.Symlink(live, p) },
		"dangler": func(p string) error { return os.Symlink(filepath.Join(dir, "nosuch"), p) },
		"pipe":    func(p string) error { return syscall.Mkfifo(p, 0o600) },
	}
	for name, f := range make {
		path := filepath.Join(dir, name)
		if err := f(path); err != nil {
			t.Fatal(err)
		}
		before, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		l, err := transport.Listen(t.Context(), transport.Config{Address: "unix:" + path, Plain: true})
		if err == nil {
			l.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "not a socket") {
			t.Errorf("%s: Listen = %v, want a refusal", name, err)
		}
		after, err := os.Lstat(path)
		if err != nil || !os.SameFile(before, after) || before.Mode() != after.Mode() {
			t.Errorf("%s was changed: %v, %v", name, after, err)
		}
	}
}

func TestCloseLeavesTheSocketOfAnother(t *testing.T) {
	path := filepath.Join(folder(t), "s")
	first := listen(t, "unix:"+path)
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	listen(t, "unix:"+path)
	first.Close()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("closing the first removed the second's socket: %v", err)
	}
	c.Close()
}

func TestFolderThatOthersMayWriteTo(t *testing.T) {
	dir := folder(t)
	for mode, ok := range map[fs.FileMode]bool{0o777: false, 0o777 | fs.ModeSticky: true, 0o775: true, 0o700: true} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		l, err := transport.Listen(t.Context(),
			transport.Config{Address: "unix:" + filepath.Join(dir, "s"), Plain: true})
		if err == nil {
			l.Close()
		}
		if (err == nil) != ok {
			t.Errorf("folder of mode %v: Listen = %v", mode, err)
		}
	}
	if os.Getuid() != 0 {
		return
	}
	if err := os.Chown(dir, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if l, err := transport.Listen(t.Context(),
		transport.Config{Address: "unix:" + filepath.Join(dir, "s"), Plain: true}); err == nil {
		l.Close()
		t.Error("a folder of another user was accepted")
	}
}

func TestHostsThatStartAtOnce(t *testing.T) {
	path := filepath.Join(folder(t), "s")
	stale(t, path)
	type result struct {
		l   *transport.Listener
		err error
	}
	const hosts = 8
	results := make(chan result)
	for range hosts {
		go func() {
			l, err := transport.Listen(t.Context(), transport.Config{Address: "unix:" + path, Plain: true})
			results <- result{l, err}
		}()
	}
	won := 0
	for range hosts {
		switch r := <-results; {
		case r.err == nil:
			won++
			defer r.l.Close()
		case !errors.Is(r.err, syscall.EADDRINUSE):
			t.Errorf("Listen = %v, want EADDRINUSE", r.err)
		}
	}
	if won != 1 {
		t.Errorf("%d hosts listen on one socket, want 1", won)
	}
}

// TestLockOfAnother holds each lock that a user with read access to the folder can take. The host starts: only the
// host's user can open the file of its lock.
func TestLockOfAnother(t *testing.T) {
	dir := folder(t)
	path := filepath.Join(dir, "s")
	lock := func(name string) {
		t.Helper()
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		if err := unix.Flock(int(f.Fd()), unix.LOCK_SH); err != nil {
			t.Fatal(err)
		}
	}
	lock(dir)
	l, err := transport.Listen(t.Context(), transport.Config{Address: "unix:" + path, Plain: true})
	if err != nil {
		t.Fatalf("with a locked folder: %v", err)
	}
	l.Close()
	info, err := os.Stat(path + ".lock")
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the lock: %v, %v; want a file that no other user can open", info, err)
	}
	lock(path + ".lock")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if l, err := transport.Listen(ctx, transport.Config{Address: "unix:" + path, Plain: true}); err == nil {
		l.Close()
		t.Error("Listen did not wait for the lock")
	} else if !errors.Is(err, context.Canceled) {
		t.Errorf("Listen = %v, want context.Canceled", err)
	}
	if err := os.Chmod(path+".lock", 0o644); err != nil {
		t.Fatal(err)
	}
	if l, err := transport.Listen(t.Context(), transport.Config{Address: "unix:" + path, Plain: true}); err == nil ||
		!strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a lock that others can open: %v, %v", l, err)
	}
}

func hasIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// TestFolderByAnothersLink: the folder is a link of another user, who could redirect the host's clients to another
// socket.
func TestFolderByAnothersLink(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make a link of another user")
	}
	all, own := folder(t), folder(t)
	if err := os.Chmod(all, 0o777|fs.ModeSticky); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(all, "state")
	if err := os.Symlink(own, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(link, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if l, err := transport.Listen(t.Context(),
		transport.Config{Address: "unix:" + filepath.Join(link, "s"), Plain: true}); err == nil {
		l.Close()
		t.Error("a folder behind a link of another user was accepted")
	}
}
