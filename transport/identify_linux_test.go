package transport_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/transport"
	"github.com/hearthhost/hearth/transport/peer"
)

// stranger is the OS user as whom the attacks run.
const stranger = 65534

// TestMain is also the attacker: the test binary, run again as another user, connects to an address, reports it on its
// output, and keeps the connection until its input ends.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "connect" {
		c, err := net.Dial(os.Args[2], os.Args[3])
		if err != nil {
			fmt.Fprintln(os.Stdout, err)
			os.Exit(1)
		}
		fmt.Fprintln(os.Stdout, "connected")
		_, _ = io.Copy(io.Discard, os.Stdin)
		c.Close()
		return
	}
	os.Exit(m.Run())
}

// addresses are those that a peer may be identified on.
func addresses(t testing.TB) []string {
	out := []string{"127.0.0.1:0", "127.0.0.9:0", "unix:" + filepath.Join(folder(t), "s")}
	if hasIPv6() {
		out = append(out, "[::1]:0")
	}
	return out
}

// network splits a listener's address for net.Dial.
func network(addr string) (string, string) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return "unix", path
	}
	return "tcp", addr
}

// connect returns both ends of a connection to l.
func connect(t testing.TB, l *transport.Listener) (client, server net.Conn) {
	t.Helper()
	nw, addr := network(l.Addr())
	client, err := net.Dial(nw, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client, accept(t, l)
}

func accept(t testing.TB, l *transport.Listener) net.Conn {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// wantPeer checks the result of Identify: uid, or no peer if uid is -1.
func wantPeer(t *testing.T, c net.Conn, uid int) {
	t.Helper()
	p := peer.Identify(c)
	if uid < 0 && (p.Auth != "" || p.UID != 0) {
		t.Errorf("Identify(%s) = %+v, want no peer", c.LocalAddr(), p)
	}
	if uid >= 0 && (p.Auth != "peer" || p.UID != uint32(uid)) {
		t.Errorf("Identify(%s) = %+v, want uid %d", c.LocalAddr(), p, uid)
	}
}

func TestOwnUser(t *testing.T) {
	for _, addr := range addresses(t) {
		client, server := connect(t, listen(t, addr))
		wantPeer(t, server, os.Getuid())
		p := peer.Identify(server)
		want := object.Peer{Auth: "peer", UID: uint32(os.Getuid()), Channel: "tcp", Addr: client.LocalAddr().String()}
		if server.LocalAddr().Network() == "unix" {
			want.Channel, want.Addr = "unix", "unix"
		}
		if p != want {
			t.Errorf("Identify = %+v, want %+v", p, want)
		}
	}
}

// attacker returns a copy of the test binary, since the one that go test made is in a
// folder that others cannot enter.
func attacker(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(folder(t), "attacker")
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bin, self, 0o755); err != nil {
		t.Fatal(err)
	}
	return bin
}

// asStranger makes the command of an attacker that connects as another user.
func asStranger(t *testing.T, bin, network, addr string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), bin, "connect", network, addr)
	cmd.Dir = "/"
	cmd.Env = []string{"GORACE=atexit_sleep_ms=0"} // else it lingers for a second
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger}}
	return cmd
}

// TestOtherUser: another user connects and must not be identified as the host's user.
func TestOtherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may become another user")
	}
	bin := attacker(t)
	for _, addr := range addresses(t) {
		l := listen(t, addr)
		nw, at := network(l.Addr())
		cmd := asStranger(t, bin, nw, at)
		stop, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); line != "connected\n" {
			t.Fatalf("the other user: %q, %v", line, err)
		}
		theirs := accept(t, l)
		_, own := connect(t, l)
		wantPeer(t, theirs, stranger)
		wantPeer(t, own, 0)
		stop.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the other user: %v", err)
		}
		// The peer has ended. For a Unix socket the kernel keeps its user. On TCP its end is an orphan, which belongs
		// to root in the kernel's table.
		waitEOF(t, theirs)
		if nw == "unix" {
			wantPeer(t, theirs, stranger)
		} else {
			wantPeer(t, theirs, -1)
		}
	}
}

func waitEOF(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Fatalf("Read = %d, %v; want the end", n, err)
	}
}

func TestPeerThatLeft(t *testing.T) {
	for _, addr := range addresses(t) {
		if strings.HasPrefix(addr, "unix:") {
			continue
		}
		client, server := connect(t, listen(t, addr))
		client.Close()
		waitEOF(t, server)
		wantPeer(t, server, -1) // orphaned
	}
}

func TestPeerInTimeWait(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	client, server := connect(t, l)
	if err := server.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	waitEOF(t, client)
	client.Close()
	waitEOF(t, server)
	wantPeer(t, server, -1)
}

func TestHalfClosedPeer(t *testing.T) {
	for _, addr := range addresses(t) {
		client, server := connect(t, listen(t, addr))
		if err := client.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		waitEOF(t, server)
		wantPeer(t, server, os.Getuid()) // it still reads: it is still there
		if err := server.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		waitEOF(t, client)
		if server.LocalAddr().Network() == "tcp" {
			wantPeer(t, server, -1) // both directions are over
		}
	}
}

// TestPortTakenOver: the peer sends and resets its connection. Another user gets its port and connects to us. The first
// connection must not be identified as the second one.
func TestPortTakenOver(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	var first, again net.Conn
	for tries := 0; again == nil; tries++ {
		var client net.Conn
		client, first = connect(t, l)
		if err := client.(*net.TCPConn).SetLinger(0); err != nil {
			t.Fatal(err)
		}
		client.Close() // resets
		d := net.Dialer{LocalAddr: client.LocalAddr()}
		c, err := d.DialContext(t.Context(), "tcp", l.Addr())
		switch {
		case err == nil:
			again = c
		// Use another port, if an old connection of another user has this one too.
		case tries == 50 || !errors.Is(err, syscall.EADDRINUSE):
			t.Fatal(err)
		}
	}
	defer again.Close()
	second := accept(t, l)
	if first.RemoteAddr().String() != second.RemoteAddr().String() {
		t.Fatalf("the port was not taken over: %s, %s", first.RemoteAddr(), second.RemoteAddr())
	}
	wantPeer(t, second, os.Getuid())
	wantPeer(t, first, -1)
}

// TestMappedPeer: a v6 socket that talks v4.
func TestMappedPeer(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	_, text, err := net.SplitHostPort(l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Skip("no IPv6 here")
	}
	defer unix.Close(fd)
	to := &unix.SockaddrInet6{Port: port, Addr: [16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1}}
	if err := unix.Connect(fd, to); err != nil {
		t.Fatal(err)
	}
	wantPeer(t, accept(t, l), os.Getuid())
}

// TestNotOurs: connections that did not come from a listener of ours prove nothing.
func TestNotOurs(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if p := peer.Identify(a); p != (object.Peer{}) {
		t.Errorf("Identify(a pipe) = %+v", p)
	}
	_, server := connect(t, listen(t, "127.0.0.1:0"))
	server.Close()
	wantPeer(t, server, -1)
	_, server = connect(t, listen(t, "unix:"+filepath.Join(folder(t), "s")))
	server.Close()
	wantPeer(t, server, -1)
}

func TestNoDescriptorIsLeft(t *testing.T) {
	_, server := connect(t, listen(t, "127.0.0.1:0"))
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := count()
	for range 100 {
		peer.Identify(server)
	}
	if after := count(); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func BenchmarkIdentify(b *testing.B) {
	for _, addr := range addresses(b)[1:] {
		_, server := connect(b, listen(b, addr))
		b.Run(server.LocalAddr().Network()+"/"+strings.SplitN(addr, ":", 2)[0], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if peer.Identify(server).Auth == "" {
					b.Fatal("nobody")
				}
			}
		})
	}
}
