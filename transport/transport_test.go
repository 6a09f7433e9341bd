package transport_test

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/transport"
)

// The test binary is its own stranger: run with this argument it connects to the address
// that follows and waits for the other end to close.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "connect" {
		c, err := net.Dial(os.Args[2], os.Args[3])
		if err != nil {
			println(err.Error())
			os.Exit(1)
		}
		_, _ = io.Copy(io.Discard, c)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func listen(t testing.TB, addr string) *transport.Listener {
	t.Helper()
	l, err := transport.Listen(t.Context(), transport.Config{Address: addr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func addresses(t testing.TB) []string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hearth")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return []string{"127.0.0.1:0", "[::1]:0", "unix:" + filepath.Join(dir, "h.sock")}
}

func target(l *transport.Listener) (network, addr string) {
	if path, ok := strings.CutPrefix(l.Addr(), "unix:"); ok {
		return "unix", path
	}
	return "tcp", l.Addr()
}

func TestOwnAccountIsIdentified(t *testing.T) {
	for _, addr := range addresses(t) {
		l := listen(t, addr)
		c, err := net.Dial(target(l))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if p := transport.Identify(s); p.Way != "peer" || p.UID != uint32(os.Getuid()) || p.Addr == "" {
			t.Errorf("%s: Identify() = %+v, want this account", addr, p)
		}
		// A client that has said all it wants to say is still somebody.
		if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if p := transport.Identify(s); p.Way != "peer" || p.UID != uint32(os.Getuid()) {
			t.Errorf("%s: half-closed: Identify() = %+v, want this account", addr, p)
		}
	}
}

func TestOtherAccountIsNotUs(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can run a program as another account")
	}
	const nobody = 65534
	exe := filepath.Join(t.TempDir(), "stranger")
	for dir := filepath.Dir(exe); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	bin, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(exe, bin, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, addr := range addresses(t) {
		l := listen(t, addr)
		network, to := target(l)
		cmd := exec.CommandContext(t.Context(), exe, "connect", network, to)
		cmd.Stderr = os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if p := transport.Identify(s); p.Way != "peer" || p.UID != nobody {
			t.Errorf("%s: Identify() = %+v, want uid %d", addr, p, nobody)
		}
		s.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
}

// TestGonePeerIsNobody is the attack on hosts that take a failed lookup for root: the
// kernel reports uid 0 for a socket whose owner has closed it.
func TestGonePeerIsNobody(t *testing.T) {
	for _, addr := range addresses(t)[:2] {
		l := listen(t, addr)
		for range 20 {
			c, err := net.Dial(target(l))
			if err != nil {
				t.Fatal(err)
			}
			s, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
			if p := transport.Identify(s); p.Way != "" || p.UID != 0 {
				t.Errorf("%s: a peer that is gone is %+v", addr, p)
			}
			s.Close()
		}
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if p := transport.Identify(a); p.Way != "" {
		t.Errorf("a pipe's other end is %+v", p)
	}
}

func TestAddressesThatAreRefused(t *testing.T) {
	for _, cfg := range []transport.Config{
		{Address: "0.0.0.0:0"}, {Address: "192.0.2.1:7766"}, {Address: "[::]:0"}, {Address: ":7766"}, {Address: "localhost:0"},
		{Address: ""}, {Address: "unix:"}, {Address: "unix:" + strings.Repeat("x", 200)},
		{Address: "127.0.0.1:0", Identify: []string{"hmac"}},
	} {
		if l, err := transport.Listen(t.Context(), cfg); err == nil {
			l.Close()
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

func TestUnixSocketFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dir", "h.sock")
	cfg := transport.Config{Address: "unix:" + path}
	first := listen(t, cfg.Address)
	if _, err := transport.Listen(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "another process is serving") {
		t.Errorf("a socket in use: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket's file stays after Close: %v", err)
	}
	// A host that died leaves its file: the next one takes its place.
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	listen(t, cfg.Address)

	file := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := transport.Listen(t.Context(), transport.Config{Address: "unix:" + file}); err == nil {
		t.Error("a file that is no socket was taken for one")
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "precious" {
		t.Errorf("the file was changed: %q, %v", b, err)
	}
}

func BenchmarkIdentify(b *testing.B) {
	for _, addr := range addresses(b) {
		b.Run(strings.SplitN(addr, ":", 2)[0], func(b *testing.B) {
			l := listen(b, addr)
			c, err := net.Dial(target(l))
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			s, err := l.Accept()
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			b.ReportAllocs()
			for b.Loop() {
				if p := transport.Identify(s); p.Way == "" {
					b.Fatal(object.Anonymous)
				}
			}
		})
	}
}
