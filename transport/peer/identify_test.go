package peer_test

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/transport/peer"
)

// pair returns the two ends of a connection to a new listener.
func pair(t *testing.T, network, address string) (client, server net.Conn) {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var d net.Dialer
	client, err = d.DialContext(t.Context(), network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return client, server
}

// TestIdentify checks the identity of this process at both ends.
func TestIdentify(t *testing.T) {
	uid := uint32(os.Getuid())
	client, server := pair(t, "unix", filepath.Join(t.TempDir(), "s"))
	for _, c := range []net.Conn{client, server} {
		want := object.Peer{Auth: "peer", UID: uid, Channel: "unix", Addr: "unix"}
		if got := peer.Identify(c); got != want {
			t.Errorf("Identify = %+v, want %+v", got, want)
		}
	}
	client, server = pair(t, "tcp", "127.0.0.1:0")
	want := object.Peer{Channel: "tcp", Addr: client.LocalAddr().String()}
	if got := peer.Describe(server); got != want {
		t.Errorf("Describe = %+v, want %+v", got, want)
	}
	if runtime.GOOS == "linux" {
		want.Auth, want.UID = "peer", uid
	}
	if got := peer.Identify(server); got != want {
		t.Errorf("Identify = %+v, want %+v", got, want)
	}
}

// TestUnknown checks that connections of other kinds have no identity and no network.
func TestUnknown(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if got := peer.Identify(a); got != (object.Peer{}) {
		t.Errorf("Identify(pipe) = %+v", got)
	}
	if n, ok := peer.Network(a); ok {
		t.Errorf("Network(pipe) = %v", n)
	}
	_, server := pair(t, "tcp", "127.0.0.1:0")
	if n, ok := peer.Network(server); ok {
		t.Errorf("Network(loopback) = %v", n)
	}
}

// remote is a connection from an address.
type remote struct {
	net.Conn
	addr string
}

func (r remote) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(r.addr))
}

func TestNetwork(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.7:1":            "192.0.2.7/32",
		"[::ffff:192.0.2.7]:1":   "192.0.2.7/32",
		"[2001:db8:1:2:3::4]:1":  "2001:db8:1:2::/64",
		"[fe80::1:2:3:4%eth0]:1": "fe80::/64",
	} {
		if got, ok := peer.Network(remote{addr: addr}); !ok || got.String() != want {
			t.Errorf("Network(%s) = %v, %v, want %s", addr, got, ok, want)
		}
	}
}
