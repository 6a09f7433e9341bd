package wire

import (
	"errors"
	"io"

	"github.com/hearthhost/hearth/internal/largebuf"
	"github.com/hearthhost/hearth/object"
)

const (
	firstBuffer = 512      // bytes of an idle connection
	keepBuffer  = 64 << 10 // a larger buffer is released after its message
	stepBuffer  = 64 << 10 // growth of a buffer beyond the received bytes
	aheadFactor = 16       // or this multiple of the received bytes, if larger: megabytes are then copied twice
	idleReads   = 100      // consecutive reads without a byte or an error before Read fails
)

// Reader reads the messages of one connection from a stream. Not safe for concurrent use.
type Reader struct {
	// Parser has the hooks, the bound and the protocol of the connection. Read calls its Parse; do not call it.
	Parser

	r          io.Reader
	buf        []byte
	start, end int // unread bytes are buf[start:end]
	garbage    int // bytes of large buffers that were not kept, see Release
}

// NewReader returns a Reader of r. max bounds payload and annotations of a message in bytes before inflation; 0 means
// [DefaultMaxBytes]. The first Read allocates a small buffer.
func NewReader(r io.Reader, max int) *Reader {
	rd := &Reader{r: r}
	rd.SetMax(max)
	return rd
}

// Pin sets the protocol of the connection, whose first message another reader has read.
func (r *Reader) Pin(p Protocol) { r.pinned = p }

// Size returns the size of the reader's buffer in bytes.
func (r *Reader) Size() int { return cap(r.buf) }

// Release ends the use of the latest message: nothing may alias it any longer. It replaces a buffer of more than keep
// bytes by a small one, unless many bytes in it are unread. It returns the bytes of large buffers that have become
// garbage since the last call.
func (r *Reader) Release(keep int) (garbage int) {
	unread := r.end - r.start
	if unread == 0 {
		r.start, r.end = 0, 0
	}
	if cap(r.buf) > max(keep, firstBuffer) && unread <= firstBuffer {
		small := make([]byte, firstBuffer)
		copy(small, r.buf[r.start:r.end])
		r.replace(small)
		r.start, r.end = 0, unread
	}
	garbage, r.garbage = r.garbage, 0
	return garbage
}

// replace sets the buffer, and gives the old one to other messages.
func (r *Reader) replace(b []byte) {
	old := r.buf
	r.buf = b
	if cap(old) >= largebuf.MinBytes {
		r.garbage += largebuf.Put(old)
	}
}

// Drop releases the buffer, unless bytes in it are unread. The next Read allocates a small one.
func (r *Reader) Drop() {
	if r.start == r.end {
		r.buf, r.start, r.end = nil, 0, 0
	}
}

// Prepend puts bytes before those that the reader has not consumed.
func (r *Reader) Prepend(b []byte) {
	buf := make([]byte, max(firstBuffer, len(b)+r.end-r.start))
	n := copy(buf, b)
	n += copy(buf[n:], r.buf[r.start:r.end])
	r.buf, r.start, r.end = buf, 0, n
}

// Buffered returns the number of received bytes that no Read has consumed.
func (r *Reader) Buffered() int { return r.end - r.start }

// Read reads one message into m, whose memory it reuses. The slices in m alias the reader's buffer until the next
// Read. The payload is not inflated.
//
// It returns io.EOF only if the stream ends before the first byte of the message, and io.ErrUnexpectedEOF later.
// Other errors of the stream are returned unchanged. After a passed deadline Read may be called again.
//
// The other errors are those of [Parser.Parse]. A message above the bound is not read beyond its header.
// [Reader.Skip] moves behind it. After an error without a complete message the position is unchanged.
func (r *Reader) Read(m *Message) error {
	r.garbage = r.Release(keepBuffer)
	for {
		size, need, err := r.Parse(r.buf[r.start:r.end], m)
		if need == 0 {
			r.start += size
			return err
		}
		if err := r.fill(need); err != nil {
			return err
		}
	}
}

// Detach transfers the memory of the latest message to the caller: no later Read writes to it.
func (r *Reader) Detach() {
	r.buf = append(make([]byte, 0, firstBuffer), r.buf[r.start:r.end]...)
	r.start, r.end = 0, len(r.buf)
	r.buf = r.buf[:cap(r.buf)]
}

// Skip discards the message that Read has just rejected as too large, or because of an error of Reserve. It discards at
// most most bytes and returns an error if the message is longer. A peer that sends a whole message before it reads can
// then read a reply.
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
	grown := largebuf.Get(max(firstBuffer, min(n, max(aheadFactor*unread, stepBuffer))))
	copy(grown, r.buf[r.start:r.end])
	r.replace(grown)
	r.start, r.end = 0, unread
}
