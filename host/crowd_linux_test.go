package host_test

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/wire"
)

// crowdSize returns the number of connections of TestCrowd: at most 10,000, as the limit of descriptors allows. Both
// ends of a connection are in this process.
func crowdSize(t *testing.T) int {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Logf("the limit of descriptors cannot be raised: %v", err)
	}
	const least, most = 200, 10_000
	n := min(int(min(limit.Max, 1<<20)-1000)/2, most)
	switch {
	case n < least:
		t.Skipf("SKIPPED: the limit of descriptors is %d; run ulimit -n %d", limit.Max, 2*most+1000)
	case testing.Short(), raceEnabled:
		n = min(n, 2000)
	}
	if n < most {
		t.Logf("%d connections instead of %d", n, most)
	}
	return n
}

// peer is one client of a crowd. Its methods return errors, so that any goroutine can use it.
type peer struct {
	net.Conn
	in *wire.Reader
}

// newPeer opens a connection.
func newPeer(addr string) (*peer, error) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	_ = nc.SetDeadline(time.Now().Add(2 * time.Minute))
	return &peer{nc, wire.NewReader(nc, 0)}, nil
}

// message encodes a message of a client.
func message(typ wire.Type, payload string) []byte {
	b, err := wire.Append(nil, &wire.Message{
		Protocol:   wire.Pyro5,
		Type:       typ,
		Serializer: pyro.SerializerNumber(wire.Pyro5, codec.ByID(codec.JSON)),
		Payload:    []byte(payload),
	})
	if err != nil {
		panic(err)
	}
	return b
}

// exchange sends a message and reads its answer.
func (p *peer) exchange(b []byte) (wire.Message, error) {
	var m wire.Message
	if _, err := p.Write(b); err != nil {
		return m, err
	}
	err := p.in.Read(&m)
	return m, err
}

// connect completes the handshake.
func (p *peer) connect() error {
	m, err := p.exchange(message(wire.Connect, `{"handshake":"hello","object":"Pyro.Daemon"}`))
	if err == nil && m.Type != wire.ConnectOK {
		err = fmt.Errorf("reply to CONNECT: %v %s", m.Type, m.Payload)
	}
	return err
}

// echo calls acme.echo and checks the answer.
func (p *peer) echo(text string) error {
	m, err := p.exchange(message(wire.Invoke,
		fmt.Sprintf(`{"object":"acme.echo","method":"echo","params":[%q],"kwargs":{}}`, text)))
	if err == nil && (m.Flags&wire.Exception != 0 || string(m.Payload) != `"`+text+`"`) {
		err = fmt.Errorf("the answer to %s is %s", text, m.Payload)
	}
	return err
}

// misbehave does one of several wrong things and leaves the connection in that state. Errors are those of a host that
// has closed the connection.
func (p *peer) misbehave(kind int) {
	call := message(wire.Invoke, `{"object":"acme.echo","method":"echo","params":["x"],"kwargs":{}}`)
	if kind >= 4 && p.connect() != nil {
		return
	}
	switch kind {
	case 0: // silent
	case 1, 4: // a part of the head
		_, _ = p.Write(call[:10])
	case 2, 5: // garbage
		_, _ = p.Write([]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n and no message of Pyro at all"))
	case 3, 6: // gone at once
		_ = p.Close()
	case 7: // gone during the call
		_, _ = p.Write(call)
		_ = p.Close()
	case 8: // a message without its end
		_, _ = p.Write(call[:len(call)-1])
	case 9: // calls whose answers it does not read
		for range 5 {
			_, _ = p.Write(message(wire.Invoke,
				`{"object":"acme.echo","method":"controls","params":[2000],"kwargs":{}}`))
		}
	}
}

// TestCrowd opens many connections, of which nine of ten misbehave. The others get right answers meanwhile, and the
// host ends all of them.
func TestCrowd(t *testing.T) {
	total := crowdSize(t)
	h, _ := startHost(t, everything+fmt.Sprintf(`
limit "the crowd" {
  principals  = ["owner"]
  connections = %d
}
`, 2*total))
	addr := h.Addrs()[0]
	first, err := newPeer(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if err := first.connect(); err != nil {
		t.Fatal(err)
	}
	const groups, calls = 20, 3
	var mu sync.Mutex // guards bad
	var bad []*peer
	var right atomic.Int64
	var wg sync.WaitGroup
	for g := range groups {
		wg.Go(func() {
			var good []*peer
			defer func() {
				for _, p := range good {
					p.Close()
				}
			}()
			for i := range total / groups {
				p, err := newPeer(addr)
				if err != nil {
					t.Errorf("connection %d of group %d: %v", i, g, err)
					return
				}
				if i%10 != 0 {
					mu.Lock()
					bad = append(bad, p)
					mu.Unlock()
					p.misbehave((i + g) % 10)
					continue
				}
				good = append(good, p)
				if err := p.connect(); err != nil {
					t.Errorf("good connection %d of group %d: %v", i, g, err)
					return
				}
				for n, p := range good[max(len(good)-calls, 0):] { // the new one, and some that have waited
					if err := p.echo(fmt.Sprintf("%d/%d/%d", g, i, n)); err != nil {
						t.Errorf("good connection %d of group %d: %v", i, g, err)
						return
					}
					right.Add(1)
				}
			}
			for i, p := range good { // all have waited
				if err := p.echo(fmt.Sprintf("%d/%d", g, i)); err != nil {
					t.Errorf("good connection %d of group %d at the end: %v", i, g, err)
					return
				}
				right.Add(1)
			}
		})
	}
	wg.Wait()
	t.Logf("%d right answers among %d connections that misbehave", right.Load(), len(bad))
	if err := first.echo("still here"); err != nil {
		t.Errorf("the first connection: %v", err)
	}
	for _, p := range bad {
		p.Close()
	}
	until(func() bool { return host.OpenConnections(h) == 1 })
	if err := first.echo("alone"); err != nil {
		t.Errorf("the first connection: %v", err)
	}
}
