package socket

import (
	"crypto/rand"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hearthhost/hearth/internal/hangup"
	"github.com/hearthhost/hearth/wire"
)

// largePayload is the size in bytes from which a payload is written separately.
const largePayload = 64 << 10

// keepOut bounds the buffer of the next message in bytes.
const keepOut = 1 << 20

// outbound serializes the writers of a socket: the connection, which sends messages, and probe.
//
// While a call runs, the connection does not read, so it does not see that its client is gone. A watcher sees it and
// cancels the call. For a FIN of TCP the host finds out whether the client still reads: probe sends the first byte of
// the reply early. A client that sends no more and waits for the reply gets a reply in two parts. The kernel of a
// client that has closed its socket answers with a reset, which the watcher reports.
type outbound struct {
	halfClosed atomic.Bool // the peer sends no more bytes
	gone       func()      // called when the peer is gone
	timeout    time.Duration

	mu      sync.Mutex // held while bytes are written; guards the fields below, and writes of Socket.channel
	awaited bool       // a call runs, and the next bytes are those of its reply
	early   int        // bytes of the next message that were written early: 0 or 1
	by      time.Time  // write deadline

	buf []byte // memory for the message being written
}

// Watch calls gone when the client is gone, possibly in another goroutine. gone must not block.
func (s *Socket) Watch(w *hangup.Watcher, gone func()) error {
	raw, ok := s.Raw().(syscall.Conn)
	if !ok {
		return nil
	}
	s.out.gone = gone
	unwatch, err := w.Add(raw, s.peerEnded)
	s.unwatch = unwatch
	return err
}

// peerEnded handles an event of the watcher. It does not block.
func (s *Socket) peerEnded(e hangup.Event) {
	if e == hangup.Gone {
		s.out.gone()
		return
	}
	s.out.halfClosed.Store(true)
	go s.probe() // ends with the write deadline or the connection
}

// Await marks that a call runs, whose reply the client waits for. The next message sent ends that.
func (s *Socket) Await() {
	s.out.mu.Lock()
	s.out.awaited = true
	s.out.mu.Unlock()
	if s.out.halfClosed.Load() {
		go s.probe() // ends with the write deadline or the connection
	}
}

// probe writes the first byte of a running call's reply, so that the kernel of a client that is gone resets the
// connection. It does nothing between calls.
func (s *Socket) probe() {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	if !s.out.awaited || s.out.early > 0 {
		return
	}
	if err := s.writeLocked([]byte{wire.FirstByte}); err != nil {
		s.out.gone()
		return
	}
	s.out.early = 1
}

// Send sends one message. A peer that does not read for long is cut off.
func (s *Socket) Send(m *wire.Message) error {
	var large []byte // the payload, if it is not worth copying
	var out []byte
	var err error
	if len(m.Payload) > largePayload {
		large = m.Payload
		out, err = wire.AppendHead(s.out.buf[:0], m, len(large))
	} else {
		out, err = wire.Append(s.out.buf[:0], m)
	}
	if err != nil {
		return err
	}
	if s.out.buf = out; cap(out) > keepOut {
		s.out.buf = nil
	}
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	err = s.writeLocked(s.replyLocked(out))
	if err == nil && large != nil {
		_, err = s.channel.Write(large)
	}
	return err
}

// replyLocked ends the wait for a reply. It returns the bytes of the reply that were not written early.
func (s *Socket) replyLocked(message []byte) []byte {
	early := s.out.early
	s.out.awaited, s.out.early = false, 0
	return message[early:]
}

// writeLocked writes bytes before the write deadline. The caller holds out.mu.
func (s *Socket) writeLocked(b []byte) error {
	s.renewDeadlineLocked()
	_, err := s.channel.Write(b)
	return err
}

// renewDeadlineLocked sets the write deadline. Setting it costs, so one serves many messages.
func (s *Socket) renewDeadlineLocked() {
	if now := time.Now(); s.out.by.Sub(now) < s.out.timeout {
		s.out.by = now.Add(2 * s.out.timeout)
		_ = s.channel.SetWriteDeadline(s.out.by)
	}
}

// Write writes bytes that are no message.
func (s *Socket) Write(b []byte) (int, error) {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	if err := s.writeLocked(b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Size returns the bytes of the buffers that the socket keeps.
func (s *Socket) Size() int {
	n := cap(s.out.buf)
	if s.coded != nil {
		n += s.coded.size()
	}
	return n
}

// Drop releases the buffers, unless they have bytes that were not read.
func (s *Socket) Drop() {
	s.out.buf = nil
	if s.coded != nil && s.coded.start == len(s.coded.plain) {
		s.coded.drop()
	}
}

// Correlate puts the correlation id of a message on its answer, or a new one.
func Correlate(m, answer *wire.Message) {
	answer.Corr, answer.HasCorr = m.Corr, true
	if !m.HasCorr {
		answer.Corr = newCorrelation()
	}
}

// newCorrelation returns a random version-4 UUID.
func newCorrelation() (id [16]byte) {
	_, _ = rand.Read(id[:]) // never fails
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id
}
