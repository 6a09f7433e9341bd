// Package socket sends and receives the bytes of one Pyro client.
//
// A [Socket] has a channel: the socket itself, or a TLS or HMAC connection on it. The connection's goroutine reads and
// writes it. While the connection waits for a message, an event loop can have it instead, see [Socket.Park]. Both use
// the same codec of the channel.
package socket

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/internal/loop"
	"github.com/hearthhost/hearth/transport"
)

// Socket is the socket of one client. Drain, Cut, Abort, Draining and Raw are safe for concurrent use. The other
// methods belong to the connection's goroutine, or to the loop while the connection is parked.
type Socket struct {
	channel  net.Conn           // on raw; written under out.mu
	secured  *transport.Channel // of channel, until Adopt
	coded    *coded             // channel, if it is a TLS or HMAC channel and Adopt was called
	draining atomic.Bool
	idle     func() // called before a read waits
	unwatch  func() // nil: the peer's end is not watched

	mu     sync.Mutex // guards raw and the loop's ownership of it
	raw    net.Conn   // the accepted socket, or parked
	parked *loop.Conn // raw, after Adopt

	out outbound
}

// Init sets the accepted socket, and the time for the peer to read an answer; the peer has at most twice that. The
// socket is its own channel until Use.
func (s *Socket) Init(raw net.Conn, writeTimeout time.Duration) {
	s.raw, s.channel, s.out.timeout = raw, raw, writeTimeout
}

// Use sets the channel after its handshake. idle is called when a read is about to wait.
func (s *Socket) Use(c *transport.Channel, idle func()) {
	c.OnIdle(idle)
	s.secured, s.channel, s.idle = c, c.Conn, idle
}

// Raw returns the socket below the channel.
func (s *Socket) Raw() net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.raw
}

// LocalAddr returns the host's address of the connection.
func (s *Socket) LocalAddr() net.Addr { return s.channel.LocalAddr() }

// RemoteAddr returns the peer's address.
func (s *Socket) RemoteAddr() net.Addr { return s.channel.RemoteAddr() }

// Read implements [io.Reader].
func (s *Socket) Read(p []byte) (int, error) { return s.channel.Read(p) }

// SetDeadline bounds all reads and writes until the channel is set.
func (s *Socket) SetDeadline(t time.Time) { _ = s.Raw().SetDeadline(t) }

// ReadBy sets until when something must arrive; never if t is zero. While the host drains, reads end at once.
func (s *Socket) ReadBy(t time.Time) {
	_ = s.channel.SetReadDeadline(t)
	if s.draining.Load() {
		s.Drain()
	}
}

// Drain ends the running read, also of a parked connection, and all later ones.
func (s *Socket) Drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining.Store(true)
	_ = s.raw.SetReadDeadline(time.Unix(1, 0))
	if s.parked != nil {
		s.parked.Notify()
	}
}

// Notify has the loop's handler called soon, if the connection is parked.
func (s *Socket) Notify() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parked != nil {
		s.parked.Notify()
	}
}

// Draining reports whether Drain or Cut was called: no more messages are read.
func (s *Socket) Draining() bool { return s.draining.Load() }

// Cut closes the socket. Received bytes that were not read are dropped, also those in buffers.
func (s *Socket) Cut() {
	s.draining.Store(true)
	s.Abort()
}

// Abort closes the socket without an orderly end of the channel.
func (s *Socket) Abort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.raw.Close()
}

// Close ends the channel and closes the socket.
func (s *Socket) Close() {
	if s.unwatch != nil {
		s.unwatch()
	}
	s.channel.Close()
}

// Linger discards the peer's further bytes, for a short time and up to a small size, and closes the channel. Closing
// with unread bytes would reset the connection and lose the last answer.
func (s *Socket) Linger() {
	if w, ok := s.channel.(interface{ CloseWrite() error }); ok {
		_ = w.CloseWrite()
	}
	_ = s.channel.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	_, _ = io.CopyN(io.Discard, s.channel, 256<<10)
	s.channel.Close()
}
