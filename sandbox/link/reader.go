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

// readBuffer is the size of a Reader's buffer while no frame needs more.
const readBuffer = 64 << 10

// Handler handles one frame. The body belongs to the handler until it returns; a body of more than [Large] bytes
// belongs to it permanently. An error ends the link.
type Handler func(t Type, id uint64, body []byte) error

// Reader reads the frames of one socket. [Reader.Run] waits for them. [Reader.Poll] lets a goroutine that expects a
// frame read it, which saves the time to wake Run's goroutine. Frames are handled one at a time and in order.
type Reader struct {
	raw    syscall.RawConn
	handle Handler
	spin   Spin
	max    atomic.Int64 // see Limit

	mu         sync.Mutex // held to read; guards the fields below
	buf        []byte
	start, end int // the unread bytes are buf[start:end]
	err        error
}

// NewReader returns a Reader of a stream socket, which must have no other reader. Limit is that of the largest message.
func NewReader(conn syscall.Conn, handle Handler) (*Reader, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("link: %w", err)
	}
	r := &Reader{raw: raw, handle: handle, buf: make([]byte, readBuffer)}
	r.Limit(FrameBytes(object.MaxMessageBytes))
	return r, nil
}

// Limit sets the maximum size of a frame in bytes. A longer frame ends the link. Safe for concurrent use.
func (r *Reader) Limit(max int) { r.max.Store(int64(max)) }

// Run handles frames until the socket ends. It returns io.EOF if the socket ended between two frames, otherwise the
// error. It is called once.
//
// With linger, Run polls for a while after the last frame before it sleeps, if [Spin] expects another frame soon.
func (r *Reader) Run(linger bool) error {
	err := r.raw.Read(func(fd uintptr) bool {
		if linger {
			r.spin.Slept()
		}
		// The system reports new data once. It reports the next data, and the end, only after a read has found none.
		_, err := r.read(fd, true)
		if err == nil && linger {
			err = r.linger(fd)
		}
		return err != nil
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil && err != nil {
		r.err = err // this end has closed the socket
	}
	return r.err
}

// linger polls for frames as long as spin allows.
func (r *Reader) linger(fd uintptr) error {
	looked := false
	for r.spin.Start(); r.spin.More(); looked = true {
		runtime.Gosched() // let the goroutines run that wait for the frames
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

// Poll handles the frames that have arrived, unless another goroutine does. It does not wait. Run returns its errors.
func (r *Reader) Poll() {
	if !r.mu.TryLock() {
		return
	}
	defer r.mu.Unlock()
	if r.err == nil {
		_ = r.raw.Control(func(fd uintptr) { _, r.err = r.readLocked(fd, false) })
	}
}

// read handles the frames that have arrived, and reports whether any data had arrived. Without drain it may stop before
// the socket is empty.
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

// framesLocked handles the complete frames of the buffer and makes room for the rest of the last one.
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
