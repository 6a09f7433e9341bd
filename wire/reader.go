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

// DefaultMaxBytes is the default bound on the bytes of payload and annotations together.
const DefaultMaxBytes = 8 << 20

const (
	firstBuffer = 512      // bytes of an idle connection
	keepBuffer  = 64 << 10 // a larger buffer is released after its message
	stepBuffer  = 64 << 10 // growth of a buffer beyond the received bytes
	aheadFactor = 16       // or this multiple of the received bytes, if larger: megabytes are then copied twice
	idleReads   = 100      // consecutive reads without a byte or an error before Read fails
)

// Reader reads the messages of one connection. The first message determines the protocol; a later message of another
// protocol is an error. Not safe for concurrent use.
type Reader struct {
	// Check is called with each message between its header and the rest. Only the header fields are filled. Read
	// returns its error unchanged. nil is allowed.
	Check func(*Message) error

	// Limit returns a higher bound in bytes for a message above the reader's bound. It is for bounds that can change
	// while the reader waits. nil is allowed.
	Limit func() int

	// Reserve is called with the length of each message in bytes, before its buffer is allocated. It may block. Read
	// returns its error unchanged; [Reader.Skip] then moves behind the message. nil is allowed.
	Reserve func(n int) error

	r          io.Reader
	max        int
	pinned     Protocol // protocol of the first message, 0 before it
	claimed    Protocol // protocol in the latest header, even a malformed one
	buf        []byte
	start, end int   // unread bytes are buf[start:end]
	rejected   int64 // bytes of the rejected message, from start
}

// NewReader returns a Reader of r. max bounds payload and annotations of a message in bytes before inflation; 0 means
// [DefaultMaxBytes]. The first Read allocates a small buffer.
func NewReader(r io.Reader, max int) *Reader {
	rd := &Reader{r: r}
	rd.SetMax(max)
	return rd
}

// SetMax changes the bound for later messages; 0 means [DefaultMaxBytes].
func (r *Reader) SetMax(max int) {
	if max <= 0 {
		max = DefaultMaxBytes
	}
	r.max = max
}

// Protocol returns the protocol that the received bytes claim, even in a malformed message; 0 if unknown. A rejection
// in that protocol is readable for the peer.
func (r *Reader) Protocol() Protocol {
	if r.pinned != 0 {
		return r.pinned
	}
	return r.claimed
}

// Size returns the size of the reader's buffer in bytes.
func (r *Reader) Size() int { return cap(r.buf) }

// Release ends the use of the latest message. It replaces a buffer of more than keep bytes by a small one, unless
// many bytes in it are unread.
func (r *Reader) Release(keep int) {
	unread := r.end - r.start
	if unread == 0 {
		r.start, r.end = 0, 0
	}
	if cap(r.buf) > max(keep, firstBuffer) && unread <= firstBuffer {
		small := make([]byte, firstBuffer)
		copy(small, r.buf[r.start:r.end])
		r.buf = small
		r.start, r.end = 0, unread
	}
}

// Buffered returns the number of received bytes that no Read has consumed.
func (r *Reader) Buffered() int { return r.end - r.start }

// Read reads one message into m, whose memory it reuses. The slices in m alias the reader's buffer until the next
// Read. The payload is not inflated.
//
// It returns io.EOF only if the stream ends before the first byte of the message, and io.ErrUnexpectedEOF later.
// Other errors of the stream are returned unchanged. After a passed deadline Read may be called again.
//
// A malformed message is CodeInvalid. A message above the bound is CodeTooLarge and is not read beyond its header.
// Both leave the position unchanged, so no later message can be read; [Reader.Skip] moves behind a message above the
// bound. One error is different: for a correlation id of a wrong size, m is complete and the next message can be
// read. It is CodeInvalid with Class "ValueError".
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
	// header has checked the bound: the lengths fit an int.
	annotations, payload := int(h.annotations), int(h.payload)
	if r.Reserve != nil {
		if err := r.Reserve(h.size + annotations + payload); err != nil {
			r.rejected = int64(h.size + annotations + payload)
			return err
		}
	}
	if err := r.fill(h.size + annotations + payload); err != nil {
		return err
	}
	head := r.start + h.size
	middle := head + annotations
	end := middle + payload
	err = m.annotate(r.buf[head:middle:middle])
	if err != nil && !readable(err) {
		return err
	}
	m.Payload = r.buf[middle:end:end]
	r.pinned = m.Protocol
	r.start = end
	return err
}

// Detach transfers the memory of the latest message to the caller: no later Read writes to it.
func (r *Reader) Detach() {
	r.buf = append(make([]byte, 0, firstBuffer), r.buf[r.start:r.end]...)
	r.start, r.end = 0, len(r.buf)
	r.buf = r.buf[:cap(r.buf)]
}

// readable reports whether the reader can continue after an error of annotate.
func readable(err error) bool {
	var e *object.Error
	return errors.As(err, &e) && e.Class != ""
}

// header reads the header into m and checks the announced sizes. It does not consume the bytes.
func (r *Reader) header(m *Message) (header, error) {
	if err := r.fill(prefixBytes); err != nil {
		return header{}, err
	}
	version, err := r.version()
	if err != nil {
		return header{}, err
	}
	var h header
	if version == Pyro4 {
		err = r.fill(header4Bytes)
		if err == nil {
			h, err = parse4(r.buf[r.start:], m)
		}
	} else {
		err = r.fill(header5Bytes)
		if err == nil {
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
			r.rejected = int64(h.size) + n
			return h, tooLarge(version, n, most)
		}
	}
	if m.Type < Connect || m.Type > Ping {
		return h, r.badType(m)
	}
	return h, nil
}

// tooLarge returns the error for a message above the bound, in the text of its generation.
func tooLarge(p Protocol, n int64, most int) error {
	format := "message too large (%d, max=%d)"
	if p == Pyro4 {
		format = "max message size exceeded (%d where max=%d)"
	}
	return &object.Error{Code: object.CodeTooLarge, Class: ClassTooLarge, Msg: fmt.Sprintf(format, n, most)}
}

// ClassTooLarge is the Class of the error for a message above the bound. Pyro's peers raise this exception.
const ClassTooLarge = "MessageTooLargeError"

// Skip discards the message that Read or Reserve has just rejected. It discards at most most bytes and returns an
// error if the message is longer. A peer that sends a whole message before it reads can then read a reply.
func (r *Reader) Skip(most int64) error {
	left := r.rejected
	r.rejected = 0
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
	if m.Protocol == Pyro5 && r.pinned == 0 {
		return object.Errorf(object.CodeInvalid, "invalid msg type %d received (expected: 1)", m.Type)
	}
	return object.Errorf(object.CodeInvalid, "invalid msg type %d received", m.Type)
}

// version returns the generation in the first six bytes.
func (r *Reader) version() (Protocol, error) {
	b := r.buf[r.start:]
	if string(b[:len(magic)]) != magic {
		if r.pinned == Pyro4 {
			return 0, object.Errorf(object.CodeInvalid, "invalid data or unsupported protocol version")
		}
		if r.pinned == 0 && isHTTP(b[:prefixBytes]) {
			return 0, ErrHTTP
		}
		return 0, object.Errorf(object.CodeInvalid, "invalid data")
	}
	number := binary.BigEndian.Uint16(b[4:])
	p := Protocol(number)
	r.claimed = guessProtocol(number)
	known := p == Pyro4 || p == Pyro5
	switch {
	case known && (r.pinned == 0 || r.pinned == p):
		return p, nil
	case r.Protocol() == Pyro4:
		return 0, object.Errorf(object.CodeInvalid, "invalid data or unsupported protocol version")
	}
	return 0, object.Errorf(object.CodeInvalid, "invalid protocol version: %d", number)
}

// ErrHTTP is the error for a first message that is an HTTP request or response.
var ErrHTTP = object.Errorf(object.CodeInvalid, "invalid data: the other end speaks HTTP, not the Pyro protocol")

// isHTTP reports whether b is the start of an HTTP request or response.
func isHTTP(b []byte) bool {
	starts := []string{
		"GET ", "HEAD ", "POST ", "PUT ", "PATCH ", "DELETE", "OPTION", "CONNEC", "TRACE ", "PRI * ", "HTTP/",
	}
	return slices.ContainsFunc(starts, func(s string) bool { return strings.HasPrefix(string(b), s) })
}

// fill reads until n bytes are unread. The buffer grows with the received bytes, not with the announced size: a
// header alone does not allocate megabytes.
func (r *Reader) fill(n int) error {
	for idle := 0; r.end-r.start < n; {
		r.grow(n)
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
			idle++
			if idle == idleReads {
				return io.ErrNoProgress
			}
		}
	}
	return nil
}

// grow makes space for at least one more byte, up to n in total.
func (r *Reader) grow(n int) {
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
	r.buf = grown
	r.start, r.end = 0, unread
}
