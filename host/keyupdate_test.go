package host_test

import (
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/wire"
)

// program is a connection through the input and output of a program. Its other methods are not used.
type program struct {
	net.Conn
	in  io.Writer
	out io.Reader
}

func (p program) Write(b []byte) (int, error) { return p.in.Write(b) }
func (p program) Read(b []byte) (int, error)  { return p.out.Read(b) }

// opensslDial returns a client that connects by the program openssl, after the handshake of the protocol, and the
// program's error output.
func opensslDial(t *testing.T, addr, version string) (*rawClient, *syncBuffer) {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("SKIPPED: Go's client cannot send a key update; install openssl")
	}
	cmd := exec.CommandContext(t.Context(), path, "s_client", "-connect", addr, "-brief", version)
	log := new(syncBuffer)
	cmd.Stderr = log
	in, err := cmd.StdinPipe()
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
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("openssl: %s", log)
		}
	})
	p := program{in: in, out: out}
	c := &rawClient{Conn: p, in: wire.NewReader(p, 0)}
	c.send(t, &wire.Message{Type: wire.Connect, Payload: []byte(`{"handshake":"hello","object":"Pyro.Daemon"}`)})
	if c.read(t); c.lastReply.Type != wire.ConnectOK {
		t.Fatalf("reply to CONNECT: %v %s", c.lastReply.Type, c.lastReply.Payload)
	}
	return c, log
}

// TestKeyUpdateOfParkedConnection updates the peer's keys while a connection waits in the loop, with and without a
// request for new keys of the host. The calls after that have the new keys.
func TestKeyUpdateOfParkedConnection(t *testing.T) {
	h := securedHost(t)
	c, log := opensslDial(t, h.Addrs()[0], "-tls1_3")
	want := 0
	put := func(when string) {
		t.Helper()
		if want++; c.put(t) != fmt.Sprint(want) {
			t.Fatalf("%s: put = %s, want %d", when, c.lastReply.Payload, want)
		}
	}
	put("after the handshake")
	for i, command := range []string{"k", "K", "K", "k", "K"} {
		put("before an update") // the connection is parked
		if _, err := fmt.Fprintln(c, command); err != nil {
			t.Fatal(err)
		}
		until(func() bool { return strings.Count(log.String(), "KEYUPDATE") == i+1 })
		put("after the command " + command)
	}
	other, _ := securedDial(t, h, "tls 1.3")
	if want++; other.put(t) != fmt.Sprint(want) {
		t.Errorf("another connection: put = %s, want %d", other.lastReply.Payload, want)
	}
}
