package transport_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hearthhost/hearth/transport"
)

// given is a socket as a service manager would hand it over.
func given(t *testing.T, network, addr, name string) *transport.Socket {
	t.Helper()
	var lc net.ListenConfig
	lc.SetMultipathTCP(name == "mptcp")
	ln, err := lc.Listen(t.Context(), network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	f, err := ln.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &transport.Socket{Name: name, File: f, Keep: true}
}

// TestInheritedSocket accepts on a socket of another process and does not remove its file.
func TestInheritedSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "h.sock")
	for _, tc := range []struct{ network, at, addr string }{
		{"unix", path, "unix:" + path},
		{"tcp", "127.0.0.1:0", "127.0.0.1:0"},
	} {
		s := given(t, tc.network, tc.at, "local")
		l, err := transport.Listen(t.Context(), transport.Config{Address: tc.addr, Plain: true, Socket: s})
		if err != nil {
			t.Fatal(err)
		}
		to := strings.TrimPrefix(l.Addr(), "unix:")
		c, err := net.Dial(tc.network, to)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		got, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		got.Close()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the service manager's socket file is gone: %v", err)
	}
}

// TestInheritedSocketElsewhere: the policy has the address. A socket with another address, or one that does not listen,
// is rejected independent of its name.
func TestInheritedSocketElsewhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, tc := range []struct{ name, network, at, addr string }{
		{"all addresses for loopback", "tcp4", "0.0.0.0:0", "127.0.0.1:0"},
		{"another port", "tcp4", "127.0.0.1:0", "127.0.0.1:1"},
		{"IPv6 for IPv4", "tcp", "[::]:0", "0.0.0.0:0"},
		{"a path for a port", "unix", filepath.Join(dir, "a"), "127.0.0.1:0"},
		{"another path", "unix", filepath.Join(dir, "b"), "unix:" + filepath.Join(dir, "c")},
	} {
		l, err := transport.Listen(t.Context(),
			transport.Config{
				Address:  tc.addr,
				Identify: []string{"pyro4-hmac"},
				Plain:    true,
				TLS:      func() *transport.ServerTLS { return nil },
				Socket:   given(t, tc.network, tc.at, "local"),
			})
		if err == nil {
			l.Close()
			t.Errorf("%s: taken", tc.name)
		} else if !strings.Contains(err.Error(), "the policy has") &&
			!strings.Contains(err.Error(), "across a network") {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

// TestInheritedIsNoListener: a file that is not a listening stream socket is rejected with the reason.
func TestInheritedIsNoListener(t *testing.T) {
	t.Parallel()
	socket := func(kind int) *os.File {
		fd, err := syscall.Socket(syscall.AF_INET, kind, 0)
		if err != nil {
			t.Fatal(err)
		}
		return os.NewFile(uintptr(fd), "")
	}
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	for want, f := range map[string]*os.File{"does not listen": socket(syscall.SOCK_STREAM),
		"not a stream socket": socket(syscall.SOCK_DGRAM), "reading the type": file} {
		l, err := transport.Listen(t.Context(),
			transport.Config{Address: "127.0.0.1:0", Plain: true, Socket: &transport.Socket{File: f}})
		if err == nil {
			l.Close()
			t.Errorf("%s: taken", want)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		f.Close()
	}
}

// TestAllOfIPv4: a listener on 0.0.0.0 accepts IPv4 only, and its successor accepts the socket.
func TestAllOfIPv4(t *testing.T) {
	t.Parallel()
	cfg := transport.Config{
		Address:  "0.0.0.0:0",
		Identify: []string{"pyro4-hmac"},
		TLS:      func() *transport.ServerTLS { return nil },
	}
	old, err := transport.Listen(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if at := old.Addr(); !strings.HasPrefix(at, "0.0.0.0:") {
		t.Errorf("0.0.0.0 listens on %s", at)
	}
	cfg.Address = old.Addr()
	s, err := old.Share("wan")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Socket = &s
	next, err := transport.Listen(t.Context(), cfg)
	if err != nil {
		t.Fatalf("the successor: %v", err)
	}
	next.Close()
}

// TestHandedOverSocket has two listeners on one socket, as a host and its successor: the
// file lives until the last one that owns it is closed, and the first one's leaving wakes its
// Accept and leaves the other alone.
func TestHandedOverSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "h.sock")
	cfg := transport.Config{Address: "unix:" + path, Plain: true}
	old, err := transport.Listen(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	share := func() transport.Config {
		s, err := old.Share("local")
		if err != nil {
			t.Fatal(err)
		}
		c := cfg
		c.Socket = &s
		return c
	}
	given, err := transport.Listen(t.Context(), share())
	if err != nil {
		t.Fatal(err)
	}
	if err := given.Close(); err != nil { // a successor that gives up
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Fatalf("a successor that gave up took the file along: %v", err)
	}
	next, err := transport.Listen(t.Context(), share())
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error)
	go func() { _, err := old.Accept(); waiting <- err }()
	next.Adopt()
	if err := old.Leave(); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Leave: %v", err)
	}
	old.Close()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	got, err := next.Accept()
	if err != nil {
		t.Fatal(err)
	}
	got.Close()
	if err := next.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is left: %v", err)
	}
}
