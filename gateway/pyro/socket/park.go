package socket

import (
	"errors"
	"time"

	"github.com/hearthhost/hearth/internal/loop"
	"github.com/hearthhost/hearth/internal/nonblock"
	"github.com/hearthhost/hearth/wire"
)

// Buffers is the memory in which an event loop reads and writes its sockets. The zero value is empty.
type Buffers struct {
	raw     []byte // received bytes of a TLS or HMAC channel
	message []byte // to send
	sealed  []byte // the same, as the channel transmits it
}

// overhead bounds the bytes that a record of a channel adds to a message that a loop reads.
const overhead = 512

// Adopt moves the socket to an event loop, once. It reports false if that is not possible: the system has no loops, or
// too few descriptors.
func (s *Socket) Adopt(l *loop.Loop) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parked != nil {
		return true
	}
	parked, err := l.Adopt(s.raw)
	if err != nil {
		return false
	}
	plain := nonblock.Wrap(parked).(*nonblock.Conn) //nolint:forcetypeassert // it is a socket
	plain.OnIdle(s.idle)
	s.raw, s.parked = parked, parked
	s.out.mu.Lock() // probe may be writing
	defer s.out.mu.Unlock()
	s.out.by = time.Time{} // the new socket has no deadline yet
	codec, err := s.secured.Codec()
	switch {
	case err != nil: // a defect of the host
		parked.Close()
		return false
	case codec != nil:
		s.coded = newCoded(s, codec, plain)
		s.channel = s.coded
	default:
		s.channel = plain
	}
	s.secured = nil
	if s.draining.Load() { // the deadline was set for the old socket
		_ = parked.SetReadDeadline(time.Unix(1, 0))
	}
	return true
}

// Idle reports whether all received bytes were read. Only then a connection may be parked.
func (s *Socket) Idle() bool { return s.coded == nil || s.coded.idle() }

// Partial reports whether a part of a record of the channel has arrived.
func (s *Socket) Partial() bool { return s.coded != nil && s.coded.pending() }

// Park gives the socket to a handler of the loop, after Adopt. The goroutine that calls Park must not use the socket
// afterwards.
func (s *Socket) Park(h loop.Handler) { s.parked.Park(h) }

// Unpark takes the socket from the loop. The loop's goroutine calls it.
func (s *Socket) Unpark() { s.parked.Unpark() }

// TryRead reads the bytes that have arrived, in the loop's goroutine, up to the length of room. It returns their
// plaintext, which aliases room or new memory. more means that a goroutine must continue to read: more bytes may have
// arrived than those, a record is incomplete, or the stream has ended or is invalid.
func (s *Socket) TryRead(room []byte, b *Buffers) (plain []byte, more bool) {
	if s.coded == nil {
		n, ok, err := s.parked.TryRead(room)
		return room[:n], ok && (err != nil || n == 0 || n == len(room))
	}
	if len(b.raw) < len(room)+overhead {
		b.raw = make([]byte, len(room)+overhead)
	}
	n, ok, err := s.parked.TryRead(b.raw)
	if !ok || err != nil || n == 0 {
		return nil, ok
	}
	plain, whole := s.coded.feed(room[:0], b.raw[:n])
	// A read without plaintext has messages of the channel itself, which may need an answer.
	return plain, s.coded.err != nil || !whole || len(plain) == 0 || n == len(b.raw)
}

// ErrBusy reports that another goroutine is writing.
var ErrBusy = errors.New("another goroutine is writing")

// TrySend sends the part of a message that the socket takes now, in the loop's goroutine. It returns the rest, as the
// channel transmits it, in memory of b: the caller sends it with SendRest in a goroutine. After ErrBusy nothing was
// sent, and the caller uses Send.
func (s *Socket) TrySend(m *wire.Message, b *Buffers) (rest []byte, err error) {
	if !s.out.mu.TryLock() { // probe is writing
		return nil, ErrBusy
	}
	defer s.out.mu.Unlock()
	out, err := wire.Append(b.message[:0], m)
	if err != nil {
		return nil, err
	}
	b.message = out
	out = s.replyLocked(out)
	if s.coded != nil {
		if out, err = s.coded.seal(b.sealed[:0], out); err != nil {
			return nil, err
		}
		b.sealed = out
	}
	n, err := s.parked.TryWrite(out)
	return out[n:], err
}

// SendRest sends the rest of a message after TrySend.
func (s *Socket) SendRest(rest []byte) error {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	if s.coded == nil {
		return s.writeLocked(rest)
	}
	s.renewDeadlineLocked()
	return s.coded.writeSealed(rest)
}
