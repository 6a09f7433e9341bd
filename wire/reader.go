package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/object"
)

// DefaultMaxBytes is the bound on payload and annotations together where none is given.
const DefaultMaxBytes = 8 << 20

const (
	firstBuffer = 512      // what a connection costs that has not said anything
	keepBuffer  = 64 << 10 // a larger buffer is let go once its message is done
	stepBuffer  = 64 << 10 // how far a buffer may grow ahead of the bytes that arrived
	aheadFactor = 16       // and how many times as far as they go, if that is more: megabytes are copied twice then
	idleReads   = 100      // reads without a byte or an error before giving up
)

// Reader reads the messages of one connection. The first message decides the protocol,
// and a message of another one after it is an error. Not safe for concurrent use.
type Reader struct {
	// Check, if set, is asked about each message once its header was read and before any
	// more of it is: only header fields of the message are filled. Read returns its
	// error unchanged.
	Check func(*Message) error

	// Limit, if set, is asked about a message that is above the bound how long it may be,
	// in bytes, where that depends on what can change while the reader waits.
	Limit func() int

	// Reserve, if set, is called with the length of each message, in bytes, before there is a buffer for it. It may
	// wait. Read returns its error unchanged, and [Reader.Skip] goes on behind the message then.
	Reserve func(n int) error

	r          io.Reader
	max        int
	pinned     object.Protocol // of the messages read so far
	seen       object.Protocol // what the latest bytes claimed to be
	buf        []byte
	start, end int   // the unread bytes are buf[start:end]
	refused    int64 // bytes of the message that was refused, from start
}

// NewReader returns a Reader of r that refuses messages of more than max bytes, payload
// and annotations as they are on the wire; 0 means [DefaultMaxBytes]. It allocates no
// buffer before the first Read, and a small one then.
func NewReader(r io.Reader, max int) *Reader {
	rd := &Reader{r: r}
	rd.SetMax(max)
	return rd
}

// SetMax changes the bound on the messages that follow; 0 means [DefaultMaxBytes].
func (r *Reader) SetMax(max int) {
	if max <= 0 {
		max = DefaultMaxBytes
	}
	r.max = max
}

// Protocol returns the protocol that the connection's bytes claimed to be, even if they
// turned out to be malformed; 0 if they gave no hint. It says in which generation a
// refusal can be read.
func (r *Reader) Protocol() object.Protocol {
	if r.pinned != 0 {
		return r.pinned
	}
	return r.seen
}

// Size returns the bytes that the reader's buffer takes.
func (r *Reader) Size() int { return cap(r.buf) }

// Release ends the use of the latest message and lets go of a buffer of more than keep bytes, unless it holds much
// that is unread.
func (r *Reader) Release(keep int) {
	unread := r.end - r.start
	if unread == 0 {
		r.start, r.end = 0, 0
	}
	if cap(r.buf) > max(keep, firstBuffer) && unread <= firstBuffer {
		small := make([]byte, firstBuffer)
		copy(small, r.buf[r.start:r.end])
		r.buf, r.start, r.end = small, 0, unread
	}
}

// Buffered reports how many bytes have arrived that no Read has consumed.
func (r *Reader) Buffered() int { return r.end - r.start }

// Read reads one message into m, whose memory it reuses. The slices in m alias the
// reader's buffer until the next Read. The payload is not inflated.
//
// It returns io.EOF only if the stream ends before the message's first byte, and
// io.ErrUnexpectedEOF later; other errors of the stream come unchanged, and after a
// passed deadline Read may be called again. A malformed message is CodeInvalid, one
// above the bound CodeTooLarge with nothing read past its header; both leave the reader
// where it was, so that nothing more can be read; [Reader.Skip] leads past one above the bound. Only after
// CodeInvalid with Class "ValueError", for a correlation id of a wrong size, m is whole and reading goes on.
//
// Source: doc/wire.md "Messages" and "Bad messages".
func (r *Reader) Read(m *Message) error {
	m.reset()
	r.Release(keepBuffer)
	h, err := r.header(m)
	if err != nil {
		return err
	}
	if r.Check != nil {
		if err := r.Check(m); err != nil {
			return err
		}
	}
	// The bound was checked, so that the lengths fit an int.
	annotations, payload := int(h.annotations), int(h.payload)
	if r.Reserve != nil {
		if err := r.Reserve(h.size + annotations + payload); err != nil {
			r.refused = int64(h.size + annotations + payload)
			return err
		}
	}
	if err := r.fill(h.size + annotations + payload); err != nil {
		return err
	}
	from := r.start + h.size
	middle, to := from+annotations, from+annotations+payload
	err = m.annotate(r.buf[from:middle:middle])
	if err != nil && !readable(err) {
		return err
	}
	m.Payload = r.buf[middle:to:to]
	r.pinned = m.Protocol
	r.start = to
	return err
}

// Detach makes the memory of the latest message, of a large one at least, belong to the caller:
// no later Read writes to it.
func (r *Reader) Detach() {
	r.buf = append(make([]byte, 0, firstBuffer), r.buf[r.start:r.end]...)
	r.start, r.end = 0, len(r.buf)
	r.buf = r.buf[:cap(r.buf)]
}

// readable reports whether an error of annotate concerns only what the message says.
func readable(err error) bool {
	var e *object.Error
	return errors.As(err, &e) && e.Class != ""
}

// header reads the header into m and bounds what it announces. The bytes stay unread.
func (r *Reader) header(m *Message) (header, error) {
	if err := r.fill(prefixBytes); err != nil {
		return header{}, err
	}
	version, err := r.version()
	if err != nil {
		return header{}, err
	}
	var h header
	if version == object.Pyro4 {
		if err = r.fill(header4Bytes); err == nil {
			h, err = parse4(r.buf[r.start:], m)
		}
	} else {
		if err = r.fill(header5Bytes); err == nil {
			h, err = parse5(r.buf[r.start:], m)
		}
	}
	if err != nil {
		return h, err
	}
	if n := int64(h.annotations) + int64(h.payload); n > int64(r.max) {
		most := r.max
		if r.Limit != nil {
			most = max(most, r.Limit())
		}
		if n > int64(most) {
			r.refused = int64(h.size) + n
			return h, tooLarge(version, n, most)
		}
	}
	if m.Type < Connect || m.Type > Ping {
		return h, r.badType(m)
	}
	return h, nil
}

// tooLarge is the error of a message above the bound, in the words of its generation.
func tooLarge(p object.Protocol, n int64, most int) error {
	format := "message too large (%d, max=%d)"
	if p == object.Pyro4 {
		format = "max message size exceeded (%d where max=%d)"
	}
	return &object.Error{Code: object.CodeTooLarge, Class: ClassTooLarge, Msg: fmt.Sprintf(format, n, most)}
}

// ClassTooLarge is the Class of the error about a message above the bound: the exception that Pyro's own
// peers raise then.
const ClassTooLarge = "MessageTooLargeError"

// Skip reads and drops the message that Read or Reserve has just refused, if it has no more than
// most bytes; else it drops so many and returns an error. A peer that sends all of a message before it
// reads can read an answer then.
func (r *Reader) Skip(most int64) error {
	left := r.refused
	r.refused = 0
	if buffered := int64(r.end - r.start); left <= buffered {
		r.start += int(left)
		return nil
	}
	left -= int64(r.end - r.start)
	r.start, r.end = 0, 0
	if _, err := io.CopyN(io.Discard, r.r, min(left, most)); err != nil {
		return err
	}
	if left > most {
		return object.Errorf(object.CodeTooLarge, "more than %d bytes to skip", most)
	}
	return nil
}

func (r *Reader) badType(m *Message) error {
	if m.Protocol == object.Pyro5 && r.pinned == 0 {
		return object.Errorf(object.CodeInvalid, "invalid msg type %d received (expected: 1)", m.Type)
	}
	return object.Errorf(object.CodeInvalid, "invalid msg type %d received", m.Type)
}

// version tells the generation from the first six bytes.
func (r *Reader) version() (object.Protocol, error) {
	b := r.buf[r.start:]
	if string(b[:len(magic)]) != magic {
		if r.pinned == object.Pyro4 {
			return 0, object.Errorf(object.CodeInvalid, "invalid data or unsupported protocol version")
		}
		if r.pinned == 0 && beginsHTTP(b[:prefixBytes]) {
			return 0, ErrHTTP
		}
		return 0, object.Errorf(object.CodeInvalid, "invalid data")
	}
	number := binary.BigEndian.Uint16(b[4:])
	p := object.Protocol(number)
	r.seen = claimed(number)
	known := p == object.Pyro4 || p == object.Pyro5
	switch {
	case known && (r.pinned == 0 || r.pinned == p):
		return p, nil
	case r.Protocol() == object.Pyro4:
		return 0, object.Errorf(object.CodeInvalid, "invalid data or unsupported protocol version")
	}
	return 0, object.Errorf(object.CodeInvalid, "invalid protocol version: %d", number)
}

// ErrHTTP is the error of a connection's first message if it is an HTTP request or response.
var ErrHTTP = object.Errorf(object.CodeInvalid, "invalid data: the other end speaks HTTP, not the Pyro protocol")

// beginsHTTP reports whether the first bytes of a connection are those of an HTTP request or response.
func beginsHTTP(b []byte) bool {
	begins := []string{"GET ", "HEAD ", "POST ", "PUT ", "PATCH ", "DELETE", "OPTION", "CONNEC", "TRACE ", "PRI * ", "HTTP/"}
	return slices.ContainsFunc(begins, func(s string) bool { return strings.HasPrefix(string(b), s) })
}

// fill reads until n bytes are unread. The buffer grows with what has arrived, not with
// what was announced: a header alone makes nobody allocate megabytes.
func (r *Reader) fill(n int) error {
	for idle := 0; r.end-r.start < n; {
		r.room(n)
		got, err := r.r.Read(r.buf[r.end:])
		if got < 0 || got > len(r.buf)-r.end {
			return object.Errorf(object.CodeInternal, "reader returned an impossible count")
		}
		r.end += got
		switch {
		case r.end-r.start >= n:
			return nil
		case errors.Is(err, io.EOF) && r.end > r.start:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		case got > 0:
			idle = 0
		default:
			if idle++; idle == idleReads {
				return io.ErrNoProgress
			}
		}
	}
	return nil
}

// room makes space for at least one more byte, aiming at n in all.
func (r *Reader) room(n int) {
	if r.start+n <= len(r.buf) || r.start == 0 && r.end < len(r.buf) {
		return
	}
	unread := r.end - r.start
	if n <= len(r.buf) || r.start > 0 && unread < len(r.buf)/2 {
		copy(r.buf, r.buf[r.start:r.end])
		r.start, r.end = 0, unread
		return
	}
	grown := make([]byte, max(firstBuffer, min(n, max(aheadFactor*unread, stepBuffer))))
	copy(grown, r.buf[r.start:r.end])
	r.buf, r.start, r.end = grown, 0, unread
}
