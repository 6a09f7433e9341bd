package link

import (
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/hearthhost/hearth/internal/nonblock"
	"github.com/hearthhost/hearth/object"
)

// readBuffer is what a Reader holds when no frame needs more.
const readBuffer = 64 << 10

// Handler takes one frame. The body is the handler's until it returns, one of more than
// [Large] bytes for good. An error ends the link.
type Handler func(t Type, id uint64, body []byte) error

// Reader reads the frames of one socket. [Reader.Run] waits for them; [Reader.Poll] lets
// somebody who expects one look for himself, which spares the time that waking Run's
// goroutine takes. Frames are handled one at a time and in order, whoever reads them.
type Reader struct {
	raw    syscall.RawConn
	handle Handler
	spin   Spin
	max    atomic.Int64 // see Limit

	mu         sync.Mutex // the right to read; guards what follows
	buf        []byte
	start, end int // the unread bytes are buf[start:end]
	err        error
}

// NewReader returns a Reader of a stream socket, which must not be read otherwise. Frames may
// be as long as those of the largest message, unless Limit says less.
func NewReader(conn syscall.Conn, handle Handler) (*Reader, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("link: %w", err)
	}
	r := &Reader{raw: raw, handle: handle, buf: make([]byte, readBuffer)}
	r.Limit(FrameBytes(object.MaxMessageBytes))
	return r, nil
}

// Limit sets how long a frame may be, in bytes, from now on. A longer one
// ends the link. Safe for concurrent use.
func (r *Reader) Limit(max int) { r.max.Store(int64(max)) }

// Run handles frames until the socket ends, and returns io.EOF if it ended between two
// frames, else what went wrong. It is called once.
//
// With linger set, Run goes on looking for a while after the last frame before it
// sleeps, if frames have been coming fast enough for that to pay.
func (r *Reader) Run(linger bool) error {
	err := r.raw.Read(func(fd uintptr) bool {
		if linger {
			r.spin.Slept()
		}
		// The system tells once that something came. To hear of what comes next, the end
		// included, we must have read until there was nothing.
		_, err := r.read(fd, true)
		if err == nil && linger {
			err = r.linger(fd)
		}
		return err != nil
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil && err != nil {
		r.err = err // closed by our own side
	}
	return r.err
}

// linger goes on looking for frames while that pays.
func (r *Reader) linger(fd uintptr) error {
	looked := false
	for r.spin.Start(); r.spin.More(); looked = true {
		runtime.Gosched() // those whom the frames concern
		some, err := r.read(fd, false)
		if err != nil {
			return err
		}
		if some {
			r.spin.Found()
			r.spin.Start()
		}
	}
	if !looked {
		return nil
	}
	_, err := r.read(fd, true)
	return err
}

// Poll handles the frames that have arrived, unless somebody else is doing so. It never
// waits. Errors are for Run to return, which sees the same events.
func (r *Reader) Poll() {
	if !r.mu.TryLock() {
		return
	}
	defer r.mu.Unlock()
	if r.err == nil {
		_ = r.raw.Control(func(fd uintptr) { _, r.err = r.readLocked(fd, false) })
	}
}

// read handles the frames that have arrived, and reports whether anything had. It may
// stop before the socket is empty, unless drain is set.
func (r *Reader) read(fd uintptr, drain bool) (some bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		some, r.err = r.readLocked(fd, drain)
	}
	return some, r.err
}

func (r *Reader) readLocked(fd uintptr, drain bool) (some bool, err error) {
	for {
		room := r.buf[r.end:]
		n, ok, err := nonblock.Read(fd, room)
		switch {
		case !ok:
			return some, nil
		case err != nil:
			return some, fmt.Errorf("link: %w", err)
		case n == 0 && r.start == r.end:
			return some, io.EOF
		case n == 0:
			return some, fmt.Errorf("link: reading a frame: %w", io.ErrUnexpectedEOF)
		}
		some = true
		r.end += n
		if err := r.framesLocked(); err != nil {
			return some, err
		}
		if n < len(room) && !drain {
			return some, nil
		}
	}
}

// framesLocked handles the whole frames of the buffer and makes room for what follows.
func (r *Reader) framesLocked() error {
	want := readBuffer
	for {
		b := r.buf[r.start:r.end]
		if len(b) < headBytes {
			break
		}
		n := int(binary.LittleEndian.Uint32(b))
		if n < headBytes-4 || int64(n) > r.max.Load() {
			return fmt.Errorf("link: frame of %d bytes", n)
		}
		if len(b) < 4+n {
			want = max(want, 4+n)
			break
		}
		r.start += 4 + n
		if err := r.handle(Type(b[4]), binary.LittleEndian.Uint64(b[5:]), b[headBytes:4+n:4+n]); err != nil {
			return err
		}
	}
	rest := r.buf[r.start:r.end]
	switch {
	case want != len(r.buf) && (want > len(r.buf) || len(rest) < readBuffer/2):
		r.buf = make([]byte, want)
	case r.start == 0:
		return nil
	}
	r.end = copy(r.buf, rest)
	r.start = 0
	return nil
}
