// Package link is the private protocol between the host and a worker process: framed,
// multiplexed requests over one inherited stream socket. It knows how bytes travel, not
// what they ask for: package worker answers at one end, package supervise asks at the
// other.
//
// A frame is a u32 length of what follows, a u8 [Type], a u64 request id, and a body
// whose fields [Encoder] and [Decoder] write and read. Either side closes the socket on
// the first frame that does not parse: the ends are one binary, so that is a bug or an
// attack and nothing in between.
package link

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Type says what a frame asks or answers.
type Type uint8

// Frames from the host to the worker.
const (
	Configure   Type = 1 // limits; the first frame
	Lib         Type = 2 // one module of the tenant's lib folder
	Load        Type = 3 // an object's source
	Describe    Type = 4 // asks for Described
	Call        Type = 5 // asks for Reply, unless it is oneway
	Next        Type = 6 // the next item of a stream; asks for Reply
	CloseStream Type = 7
	EndConn     Type = 8
	Cancel      Type = 9  // the request of this id has no asker any more
	ProxyReply  Type = 10 // answers Proxy
	Stop        Type = 11 // finish what is queued, then exit
)

// Frames from the worker to the host.
const (
	Reply     Type = 64
	Described Type = 65
	Log       Type = 66
	Proxy     Type = 67 // a script calls another object; asks for ProxyReply
)

const headBytes = 4 + 1 + 8

// MaxFrameBytes bounds one frame: the largest message plus room for its head fields.
const MaxFrameBytes = 17 << 20

// maxBacklogBytes bounds what waits for a peer that does not read.
const maxBacklogBytes = 64 << 20

// ErrBacklog says that the other end does not keep up with what it is asked.
var ErrBacklog = errors.New("the other end of the link does not keep up")

// Writer writes frames. Frames that are offered while a write is under way go out
// together in the next one, so many small frames cost few system calls and a lone one
// waits for nobody. Safe for concurrent use.
type Writer struct {
	w io.Writer

	mu      sync.Mutex // guards what follows
	buf     []byte     // frames waiting
	spare   []byte     // the buffer to fill next
	writing bool       // somebody is in w.Write
	err     error      // the first failure; sticky
}

// NewWriter returns a Writer on w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write sends one frame that was made by an [Encoder]. The slice may be used again when
// Write returns. An error means that the link is dead, except for [ErrBacklog].
func (w *Writer) Write(frame []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	if len(w.buf)+len(frame) > maxBacklogBytes {
		return ErrBacklog
	}
	w.buf = append(w.buf, frame...)
	if w.writing {
		return nil
	}
	w.writing = true
	for len(w.buf) > 0 && w.err == nil {
		out := w.buf
		w.buf = w.spare[:0]
		w.mu.Unlock()
		_, err := w.w.Write(out)
		w.mu.Lock()
		if err != nil {
			w.err = err
		}
		if w.spare = out[:0]; cap(out) > 1<<20 {
			w.spare = nil // a rare burst must not hold its memory for ever
		}
	}
	w.writing = false
	return w.err
}

// Reader reads frames. Not safe for concurrent use.
type Reader struct{ r *bufio.Reader }

// NewReader returns a Reader on r.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReaderSize(r, 64<<10)} }

// Head reads the head of the next frame and returns its type, request id and the
// length of its body in bytes. It returns io.EOF only between frames.
func (r *Reader) Head() (Type, uint64, int, error) {
	var h [headBytes]byte
	if _, err := io.ReadFull(r.r, h[:]); err != nil {
		return 0, 0, 0, err
	}
	n := int(binary.LittleEndian.Uint32(h[:]))
	if n < headBytes-4 || n > MaxFrameBytes {
		return 0, 0, 0, fmt.Errorf("link: frame of %d bytes", n)
	}
	return Type(h[4]), binary.LittleEndian.Uint64(h[5:]), n - (headBytes - 4), nil
}

// Body reads a body of n bytes into buf, which it grows as needed and returns.
func (r *Reader) Body(buf []byte, n int) ([]byte, error) {
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := io.ReadFull(r.r, buf); err != nil {
		return buf, fmt.Errorf("link: reading a body: %w", err)
	}
	return buf, nil
}
