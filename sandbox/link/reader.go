package link

import (
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/hearthhost/hearth/internal/largebuf"
	"github.com/hearthhost/hearth/internal/nonblock"
	"github.com/hearthhost/hearth/internal/spin"
	"github.com/hearthhost/hearth/object"
)

// readBuffer is the size of a Reader's buffer while no frame needs more.
const readBuffer = 64 << 10

// Handler handles one frame. The body belongs to the handler until it returns; a body of more than [Large] bytes
// belongs to it permanently. An error ends the link.
type Handler func(t Type, id uint64, body []byte) error

// Reader reads the frames of one socket. Frames are handled one at a time and in order, in one of two ways:
//
//   - [Reader.Run] waits for frames and gives them to the handler. [Reader.Poll] lets a goroutine that expects a frame
//     read it, which saves the time to wake Run's goroutine.
//   - [Reader.Next] returns frames that have arrived, and [Reader.Fill] waits for more. They have no lock: one
//     goroutine at a time uses them, and passes the Reader on to the next.
type Reader struct {
	// BeforeSleep, if not nil, is called before Fill sleeps. Set it before Fill is called.
	BeforeSleep func()

	raw    syscall.RawConn
	handle Handler
	spin   spin.Spin
	max    atomic.Int64  // see Limit
	count  atomic.Uint64 // bytes that were read

	mu         sync.Mutex // held by Run and Poll to read; guards the fields below
	buf        []byte
	small      []byte // buffer of readBuffer bytes that buf replaces; nil: none
	start, end int    // the unread bytes are buf[start:end]
	err        error

	// State of Fill. The functions are created once, so that it does not allocate.
	filled     bool // bytes have arrived
	slept      bool // no bytes had arrived when it began to wait
	fillReady  func(fd uintptr)
	fillWaiter func(fd uintptr) bool
}

// Frame is one frame of a [Reader].
type Frame struct {
	Type Type
	ID   uint64
	Body []byte
}

// NewReader returns a Reader of a stream socket, which must have no other reader. Limit is that of the largest message.
// handle is not used by Next and Fill; it may be nil then.
func NewReader(conn syscall.Conn, handle Handler) (*Reader, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("link: %w", err)
	}
	r := &Reader{raw: raw, handle: handle, buf: make([]byte, readBuffer)}
	r.Limit(FrameBytes(object.MaxMessageBytes))
	r.fillReady = func(fd uintptr) { r.filled, r.err = r.pull(fd) }
	r.fillWaiter = func(fd uintptr) bool {
		r.fillReady(fd)
		done := r.filled || r.err != nil
		if !done && !r.slept {
			r.slept = true
			if r.BeforeSleep != nil {
				r.BeforeSleep()
			}
		}
		return done
	}
	return r, nil
}

// Limit sets the maximum size of a frame in bytes. A longer frame ends the link. Safe for concurrent use.
func (r *Reader) Limit(max int) { r.max.Store(int64(max)) }

// Received returns the number of bytes that were read. Safe for concurrent use.
func (r *Reader) Received() uint64 { return r.count.Load() }

// Run handles frames until the socket ends. It returns io.EOF if the socket ended between two frames, otherwise the
// error. It is called once.
//
// With linger, Run polls for a while after the last frame before it sleeps, if [spin.Spin] expects another frame soon.
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

// Drain handles frames that have arrived, for a loop that waits for the socket in place of Run. end means that the
// other end may have closed the socket. more means that others may be left: it stops after some, so that a worker that
// floods its link does not hold the loop. It returns the errors of Run.
func (r *Reader) Drain(end bool) (more bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := 0; r.err == nil; i++ {
		if i == maxReads {
			return true, nil
		}
		var ok, full bool
		failed := r.raw.Control(func(fd uintptr) {
			if ok, r.err = r.pull(fd); ok {
				full = r.end == len(r.buf)
				r.err = r.framesLocked()
			}
		})
		if r.err == nil {
			r.err = failed
		}
		if !ok || !full && !end {
			break
		}
	}
	return false, r.err
}

// maxReads bounds the reads of a Drain.
const maxReads = 16

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
		ok, err := r.pull(fd)
		if !ok || err != nil {
			return some, err
		}
		some = true
		full := r.end == len(r.buf)
		if err := r.framesLocked(); err != nil {
			return some, err
		}
		if !full && !drain {
			return some, nil
		}
	}
}

// pull reads once into the free part of the buffer. ok is false if no bytes have arrived.
func (r *Reader) pull(fd uintptr) (ok bool, err error) {
	n, ok, err := nonblock.Read(fd, r.buf[r.end:])
	switch {
	case !ok:
		return false, nil
	case err != nil:
		return false, fmt.Errorf("link: %w", err)
	case n == 0 && r.start == r.end:
		return false, io.EOF
	case n == 0:
		return false, fmt.Errorf("link: reading a frame: %w", io.ErrUnexpectedEOF)
	}
	r.end += n
	r.count.Add(uint64(n))
	return true, nil
}

// framesLocked handles the complete frames of the buffer and makes room for the rest of the last one.
func (r *Reader) framesLocked() error {
	for {
		f, ok, err := r.Next()
		if err != nil {
			return err
		}
		if !ok {
			r.makeRoom()
			return nil
		}
		if err := r.handle(f.Type, f.ID, f.Body); err != nil {
			return err
		}
	}
}

// Next returns the next frame that has arrived. ok is false if that is not complete: then call Fill. The body is valid
// until Fill, and a body of more than [Large] bytes permanently. An error ends the link.
func (r *Reader) Next() (f Frame, ok bool, err error) {
	b := r.buf[r.start:r.end]
	if len(b) < headBytes {
		return Frame{}, false, nil
	}
	n := int(binary.LittleEndian.Uint32(b))
	if n < headBytes-4 || int64(n) > r.max.Load() {
		return Frame{}, false, fmt.Errorf("link: frame of %d bytes", n)
	}
	if len(b) < 4+n {
		return Frame{}, false, nil
	}
	r.start += 4 + n
	limit := 4 + n
	if n-(headBytes-4) > Large && r.start == len(r.buf) { // the rest of the buffer's memory belongs to the body, too
		limit = cap(b)
	}
	return Frame{Type(b[4]), binary.LittleEndian.Uint64(b[5:]), b[headBytes : 4+n : limit]}, true, nil
}

// Fill waits until bytes have arrived. It returns io.EOF if the socket ended between two frames. linger is that of Run.
func (r *Reader) Fill(linger bool) error {
	r.makeRoom()
	r.slept = false
	if linger && r.spin.Polls() {
		if err := r.raw.Control(r.fillReady); err != nil {
			return fmt.Errorf("link: %w", err)
		}
		if r.filled || r.err != nil {
			return r.err
		}
		for r.spin.Start(); r.spin.More(); {
			runtime.Gosched() // let the goroutines run that wait for the frames
			if err := r.raw.Control(r.fillReady); err != nil {
				return fmt.Errorf("link: %w", err)
			}
			if r.filled || r.err != nil {
				r.spin.Found()
				return r.err
			}
		}
	} else {
		r.spin.Start()
	}
	if err := r.raw.Read(r.fillWaiter); err != nil {
		return err
	}
	if linger && r.slept {
		r.spin.Slept()
	}
	return r.err
}

// makeRoom moves the rest of the last frame to the beginning of the buffer, and makes the buffer as large as the frame.
func (r *Reader) makeRoom() {
	want := readBuffer
	rest := r.buf[r.start:r.end]
	if len(rest) >= headBytes { // Next has checked the size
		want = max(want, 4+int(binary.LittleEndian.Uint32(rest)))
	}
	switch {
	case want != len(r.buf) && (want > len(r.buf) || len(rest) < readBuffer/2):
		r.resize(want)
	case r.start == 0:
		return
	}
	r.end = copy(r.buf, rest)
	r.start = 0
}

// resize replaces the buffer. The small one is kept while a large one is in use; large ones belong to handlers.
func (r *Reader) resize(n int) {
	if len(r.buf) == readBuffer {
		r.small = r.buf
	}
	if n == readBuffer && r.small != nil {
		r.buf, r.small = r.small, nil
	} else {
		r.buf = largebuf.Get(n)
	}
}
