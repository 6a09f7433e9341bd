package host_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/internal/upgrade"
	"github.com/hearthhost/hearth/wire"
)

// drainingHost is a host that a test ends.
type drainingHost struct {
	*host.Host
	dir  string
	stop context.CancelFunc
	done chan error
}

// drainPolicy has two tenants with a list each. Each call is in the audit log.
const drainPolicy = `
audit { file = "audit/audit.jsonl" }
tenant "other" {}
permit "the other list" {
  principals = ["owner", "alice"]
  objects    = ["other.*"]
}
`

// newDrainingHost starts a host that serves a channel: "plain" or one of secured.
func newDrainingHost(t *testing.T, channel string) *drainingHost {
	t.Helper()
	policy := securedPolicy + drainPolicy
	if channel == "plain" {
		policy = `
listener "tcp" { address = "127.0.0.1:0" }
principal "owner" { host_user = true }
principal "alice" { keys = ["alice.key"] }
tenant "acme" {}
permit "all" {
  principals = ["owner"]
  objects    = ["acme.*"]
}
` + drainPolicy
	}
	h, dir := makeHost(t, policy, securedFiles(t), script(t, "acme/list.lua", list), script(t, "other/list.lua", list),
		func(c *host.Config) {
			if err := os.Mkdir(filepath.Join(filepath.Dir(c.PolicyFile), "audit"), 0o700); err != nil {
				t.Fatal(err)
			}
		})
	if err := h.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	d := &drainingHost{Host: h, dir: dir, stop: stop, done: make(chan error, 1)}
	go func() { d.done <- h.Serve(ctx) }()
	return d
}

// await waits for the end of the host, and returns how many calls its audit log has.
func (d *drainingHost) await(t *testing.T) (calls int64) {
	t.Helper()
	if err := <-d.done; err != nil {
		t.Errorf("Serve() = %v", err)
	}
	d.stop()
	records, err := os.ReadFile(filepath.Join(d.dir, "audit", "audit.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return int64(bytes.Count(records, []byte(`"object":"acme.`)) + bytes.Count(records, []byte(`"object":"other.`)))
}

// drainDial opens a connection with a small receive buffer, unless that is 0, and completes the handshake.
func drainDial(addr, channel string, receiveBuffer int) (*peer, error) {
	dialer := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		if receiveBuffer > 0 {
			_ = raw.Control(func(fd uintptr) {
				err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, receiveBuffer)
			})
		}
		return err
	}}
	nc, err := dialer.Dial("tcp", addr) //nolint:noctx // of a host of this test
	if err != nil {
		return nil, err
	}
	_ = nc.SetDeadline(time.Now().Add(2 * time.Minute))
	p := &peer{Conn: nc}
	if channel != "plain" {
		p.Conn = secured[channel](nc)
	}
	p.in = wire.NewReader(p.Conn, 0)
	if err := p.connect(); err != nil {
		nc.Close()
		return nil, err
	}
	return p, nil
}

// ended reports whether an error is that of a host that has closed the connection between two messages.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// TestDrainDuringCalls ends a host, by a signal and in favour of a new host, while connections call two tenants that
// contend, and others connect and leave. At any time some are being moved to the loop, some wait for a slot, and some
// run. Each call that ran is answered whole, and no other is in the audit log.
func TestDrainDuringCalls(t *testing.T) {
	channels := []string{"plain", "plain", "plain"}
	for channel := range secured {
		channels = append(channels, channel)
	}
	for i, channel := range channels {
		t.Run(fmt.Sprintf("%d %s", i, channel), func(t *testing.T) {
			t.Parallel()
			d := newDrainingHost(t, channel)
			addr := d.Addrs()[0]
			var replies atomic.Int64
			var wg sync.WaitGroup
			const callers = 24
			for n := range callers {
				wg.Go(func() {
					for connected := true; connected; {
						p, err := drainDial(addr, channel, 0)
						if err != nil {
							return // the host may have closed it before the end of the handshake
						}
						last := 1 << 30 // calls of this connection
						if n%2 == 0 {
							last = 1 + rand.IntN(3)
						}
						for k := 0; k < last && connected; k++ {
							m, err := p.exchange(message(wire.Invoke, fmt.Sprintf(
								`{"object":"%s.list","method":"put","params":["x"],"kwargs":{}}`,
								[]string{"acme", "other"}[(n+k/2)%2])))
							switch {
							case err == nil && m.Flags&wire.Exception == 0:
								replies.Add(1)
							case err == nil:
								t.Errorf("a call during the drain: %s", m.Payload)
								connected = false
							default:
								if !ended(err) {
									t.Errorf("a call during the drain: %v", err)
								}
								connected = false
							}
						}
						p.Close()
					}
				})
			}
			enough := int64(100 + rand.IntN(500))
			until(func() bool { return replies.Load() >= enough })
			if i%2 == 0 {
				d.stop()
			} else {
				d.Retire(upgrade.Successor{}, time.Millisecond)
			}
			wg.Wait()
			if calls := d.await(t); calls != replies.Load() {
				t.Errorf("%d calls are in the audit log, and %d were answered", calls, replies.Load())
			}
		})
	}
}

// TestDrainWithUnreadAnswers ends a host while a client has not read its answers, the last of which is partly written.
// The client still gets all of them whole.
func TestDrainWithUnreadAnswers(t *testing.T) {
	for _, channel := range []string{"plain", "hmac", "tls 1.2", "tls 1.3", "hmac in tls"} {
		t.Run(channel, func(t *testing.T) {
			t.Parallel()
			d := newDrainingHost(t, channel)
			p, err := drainDial(d.Addrs()[0], channel, 4<<10)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			const size = 7000
			call := message(wire.Invoke, fmt.Sprintf(
				`{"object":"acme.echo","method":"echo","params":[%q],"kwargs":{}}`, strings.Repeat("x", size)))
			sent := 0
			for blocked := false; !blocked && sent < 10_000; {
				if _, err := p.Write(call); err != nil {
					t.Fatal(err)
				}
				sent++
				until(func() bool { return answeredCalls(t, d.Host) == sent })
				// The connection waits for a message when its answer is written, and is busy if that is not possible.
				// On a slow machine it may only seem so: then the drain begins at another time, which is right, too.
				late := time.After(300 * time.Millisecond)
				for tick := time.NewTicker(100 * time.Microsecond); !blocked && host.IdleConnections(d.Host) == 0; {
					select {
					case <-tick.C:
					case <-late:
						blocked = true
					}
				}
			}
			d.stop()
			for i := range sent {
				var m wire.Message
				if err := p.in.Read(&m); err != nil || len(m.Payload) != size+2 {
					t.Fatalf("answer %d of %d: %d bytes, %v", i+1, sent, len(m.Payload), err)
				}
			}
			var m wire.Message
			if err := p.in.Read(&m); !errors.Is(err, io.EOF) {
				t.Errorf("after the last answer: %v, want io.EOF", err)
			}
			t.Logf("%d answers were not read", sent)
			if calls := d.await(t); calls != int64(sent) {
				t.Errorf("%d calls are in the audit log, want %d", calls, sent)
			}
		})
	}
}

// answeredCalls returns the number of calls of acme that have a result.
func answeredCalls(t *testing.T, h *host.Host) int {
	t.Helper()
	u, err := h.Usage("acme")
	if err != nil {
		t.Fatal(err)
	}
	return int(u.Tenants[0].Calls.Calls)
}

// TestDrainEndsChannels ends a host while a connection waits in its loop. The client gets the end of its channel, so
// that it can distinguish the host from an attacker who cuts the connection.
func TestDrainEndsChannels(t *testing.T) {
	for channel := range secured {
		d := newDrainingHost(t, channel)
		p, err := drainDial(d.Addrs()[0], channel, 0)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // the last ones are handled by the loop
			if err := p.echo("x"); err != nil {
				t.Fatal(err)
			}
		}
		d.stop()
		if n, err := p.Conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%s: %d bytes, %v; want io.EOF, which needs the host's end", channel, n, err)
		}
		p.Close()
		d.await(t)
	}
}
