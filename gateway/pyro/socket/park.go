package socket

import (
	"errors"
	"time"

	"github.com/hearthhost/hearth/internal/loop"
	"github.com/hearthhost/hearth/internal/nonblock"
	"github.com/hearthhost/hearth/wire"
)

// Adopt moves the socket to an event loop, once. It reports false if that is not possible: the socket has a TLS or
// HMAC channel, or the system has no loops.
func (s *Socket) Adopt(l *loop.Loop) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parked != nil {
		return true
	}
	plain, ok := s.channel.(*nonblock.Conn)
	if !ok {
		return false
	}
	parked, err := l.Adopt(plain.Conn)
	if err != nil {
		return false
	}
	nc := nonblock.Wrap(parked).(*nonblock.Conn) //nolint:forcetypeassert // it is a socket
	nc.OnIdle(s.idle)
	s.out.mu.Lock()                       // probe may be writing
	s.channel, s.out.by = nc, time.Time{} // the new socket has no deadline yet
	s.out.mu.Unlock()
	s.raw, s.parked = parked, parked
	if s.draining.Load() { // the deadline was set for the old socket
		_ = parked.SetReadDeadline(time.Unix(1, 0))
	}
	return true
}

// Park gives the socket to a handler of the loop, after Adopt. The goroutine that calls Park must not use the socket
// afterwards.
func (s *Socket) Park(h loop.Handler) { s.parked.Park(h) }

// Unpark takes the socket from the loop. The loop's goroutine calls it.
func (s *Socket) Unpark() { s.parked.Unpark() }

// TryRead reads the bytes that have arrived, as [loop.Conn.TryRead] does.
func (s *Socket) TryRead(p []byte) (n int, ok bool, err error) { return s.parked.TryRead(p) }

// ErrBusy reports that another goroutine is writing.
var ErrBusy = errors.New("another goroutine is writing")

// TrySend sends the part of a message that the socket takes now. It returns the rest, which aliases buf: the caller
// sends it with SendRest in a goroutine. buf is the memory for the encoded message. After ErrBusy nothing was sent, and
// the caller uses Send.
func (s *Socket) TrySend(m *wire.Message, buf *[]byte) (rest []byte, err error) {
	if !s.out.mu.TryLock() { // probe is writing
		return nil, ErrBusy
	}
	defer s.out.mu.Unlock()
	out, err := wire.Append((*buf)[:0], m)
	if err != nil {
		return nil, err
	}
	*buf = out
	out = s.replyLocked(out)
	n, err := s.parked.TryWrite(out)
	return out[n:], err
}

// SendRest sends the rest of a message.
func (s *Socket) SendRest(rest []byte) error {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	return s.writeLocked(rest)
}
