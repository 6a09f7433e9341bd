package link

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
)

// MaxBacklogBytes bounds the requests and replies that wait for a peer that does not read.
const MaxBacklogBytes = 64 << 20

// MaxPostedBytes bounds all frames that wait, those of Post included. Beyond it the link fails.
const MaxPostedBytes = 2 * MaxBacklogBytes

// maxQueued bounds the frames that Queue collects for one write.
const maxQueued = 32

// ErrBacklog is the error for a frame that was not written, since the peer does not keep up.
var ErrBacklog = errors.New("the other end of the link does not keep up")

// ErrStalled is the error of a link that failed because more than MaxPostedBytes wait for its peer.
var ErrStalled = fmt.Errorf("link: more than %d MiB wait for the other end, which does not read", MaxPostedBytes>>20)

// Writer writes frames. Frames that come during a write go out together in the next write. Safe for concurrent use.
//
// Write, WriteParts, Queue and Flush may wait until the peer reads. A goroutine that reads the same link, or that holds
// a lock, uses Post, or Append and TryFlush, which do not wait: if both ends waited in their readers, neither would
// read again.
type Writer struct {
	w   io.Writer
	try TryWriter // w, if it can write without waiting; else nil

	mu             sync.Mutex // guards the fields below
	pieces         [][]byte   // waiting frames, in pieces: one growing buffer would exist twice while it grows
	begun          int        // bytes of the first piece that are written
	size           int        // bytes of pieces that wait
	written        int        // bytes of the write that is running
	queued         int        // frames since the last write
	freeList       [][]byte   // buffer of the next list of pieces
	writing        bool       // a goroutine is in w.Write
	flushScheduled bool       // a goroutine will write after the goroutines that can run now
	err            error      // first error; sticky
	closer         io.Closer  // closed when all frames are written; may be nil

	accepted uint64        // bytes of all frames that were accepted
	sent     atomic.Uint64 // bytes that the system has taken

	maxPosted  int // see MaxPostedBytes
	maxBacklog int // see MaxBacklogBytes
}

// TryWriter is a connection that can write without waiting.
type TryWriter interface {
	// TryWrite writes the part of p that the system accepts now. It is not called during Write.
	TryWrite(p []byte) (n int, err error)
}

// NewWriter returns a Writer on w. TryFlush needs another goroutine unless w is a [TryWriter].
func NewWriter(w io.Writer) *Writer {
	try, _ := w.(TryWriter)
	return &Writer{w: w, try: try, maxPosted: MaxPostedBytes, maxBacklog: MaxBacklogBytes}
}

// Post appends one frame to the waiting frames and returns. Another goroutine writes it. The caller may reuse the
// slice. An error means that the link has failed, now or earlier.
func (w *Writer) Post(frame []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.appendLocked(frame)
	w.flushLaterLocked()
	return w.err
}

// Write writes the waiting frames and one frame of an [Encoder]. The caller may reuse the slice. An error means that
// the link has failed. Write never returns ErrBacklog: later frames may depend on this one.
func (w *Writer) Write(frame []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.appendLocked(frame)
	w.flushLocked(nil)
	return w.err
}

// WriteParts is Write for a frame of [Encoder.FramePrefix] and the rest of its last field. It returns the position in
// the stream after the frame, see [Writer.Sent]. It does not copy more than [Large] bytes, unless another goroutine
// is writing. The error may be [ErrBacklog].
func (w *Writer) WriteParts(frame []byte, rest ...[]byte) (end uint64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	size := len(frame)
	for _, p := range rest {
		size += len(p)
	}
	if w.err == nil && !w.writing && size > Large {
		w.accepted += uint64(size)
		end = w.accepted
		w.flushLocked(frame, rest...)
		return end, w.err
	}
	if w.fullLocked(size) {
		return 0, ErrBacklog
	}
	w.appendLocked(frame, rest...)
	end = w.accepted
	w.flushLocked(nil)
	return end, w.err
}

// Sent returns the number of bytes that the system has taken. A frame that ends after that position has not reached the
// peer.
func (w *Writer) Sent() uint64 { return w.sent.Load() }

// Accepted returns the position in the stream after the last frame, see [Writer.Sent].
func (w *Writer) Accepted() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.accepted
}

// Waiting reports whether frames wait that the system has not taken.
func (w *Writer) Waiting() bool { return w.Sent() < w.Accepted() }

// Limit replaces the bounds MaxBacklogBytes and MaxPostedBytes. Call it before the first frame.
func (w *Writer) Limit(backlog, posted int) { w.maxBacklog, w.maxPosted = backlog, posted }

// Queue is WriteParts for a frame that waits for the goroutines that can run now, so that one system call writes their
// frames, too. A later call returns the error of that write.
func (w *Writer) Queue(frame []byte) (end uint64, err error) {
	if len(frame) > Large {
		return w.WriteParts(frame)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fullLocked(len(frame)) {
		return 0, ErrBacklog
	}
	w.appendLocked(frame)
	end = w.accepted
	if w.queued >= maxQueued {
		w.flushLocked(nil)
	} else {
		w.flushLaterLocked()
	}
	return end, w.err
}

// Append appends one frame to the waiting frames. It does not wait. The caller calls TryFlush or Flush soon: until then
// the frame waits for other frames. The caller may reuse the slice.
func (w *Writer) Append(frame []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.addLocked(frame)
}

// AppendBounded is Append for a frame that can be refused: the error may be [ErrBacklog]. It returns the position in
// the stream after the frame, see [Writer.Sent].
func (w *Writer) AppendBounded(frame []byte) (end uint64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fullLocked(len(frame)) {
		return 0, ErrBacklog
	}
	err = w.addLocked(frame)
	return w.accepted, err
}

func (w *Writer) addLocked(frame []byte) error {
	w.appendLocked(frame)
	if w.queued >= maxQueued {
		w.tryFlushLocked()
	}
	return w.err
}

// TryFlush writes the waiting frames as far as the system accepts them now. Another goroutine writes the rest. It
// reports whether all are written, or will be by a goroutine that is writing.
func (w *Writer) TryFlush() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tryFlushLocked()
	return w.size == 0 || w.writing
}

// Flush writes the waiting frames.
func (w *Writer) Flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flushLocked(nil)
}

func (w *Writer) tryFlushLocked() {
	if w.writing || w.size == 0 || w.err != nil {
		return
	}
	if w.try != nil {
		w.tryWriteLocked()
	}
	w.flushLaterLocked()
	w.closeLocked()
}

// tryWriteLocked writes pieces until the system accepts no more. The rest of a piece remains the first one.
func (w *Writer) tryWriteLocked() {
	w.queued = 0
	for len(w.pieces) > 0 {
		p := w.pieces[0][w.begun:]
		n, err := w.try.TryWrite(p)
		w.sent.Add(uint64(n))
		w.size -= n
		if err != nil {
			w.err = err
			w.dropLocked()
			return
		}
		if n < len(p) {
			w.begun += n
			return
		}
		w.begun = 0
		freePiece(w.pieces[0])
		w.pieces[0] = nil
		w.pieces = w.pieces[:copy(w.pieces, w.pieces[1:])]
	}
}

// flushLaterLocked starts a goroutine that writes the waiting frames after the goroutines that can run now.
func (w *Writer) flushLaterLocked() {
	if w.flushScheduled || w.writing || w.err != nil || w.size == 0 {
		return
	}
	w.flushScheduled = true
	go func() { // ends with the write
		runtime.Gosched()
		w.mu.Lock()
		defer w.mu.Unlock()
		w.flushScheduled = false
		w.flushLocked(nil)
	}()
}

// fullLocked reports whether a frame of size bytes exceeds the backlog. It returns false after the link has failed.
func (w *Writer) fullLocked(size int) bool {
	return w.err == nil && w.size > 0 && w.written+w.size+size > w.maxBacklog
}

// appendLocked appends a frame to the waiting frames. The link fails if they exceed maxPosted.
func (w *Writer) appendLocked(frame []byte, rest ...[]byte) {
	if w.err == nil && w.size > w.maxPosted {
		w.err = ErrStalled
		w.dropLocked()
	}
	if w.err != nil {
		return
	}
	n := len(frame)
	for _, p := range rest {
		n += len(p)
	}
	last := len(w.pieces) - 1
	if last < 0 || cap(w.pieces[last])-len(w.pieces[last]) < n {
		w.pieces = append(w.pieces, newPiece(n))
		last++
	}
	w.pieces[last] = append(w.pieces[last], frame...)
	for _, p := range rest {
		w.pieces[last] = append(w.pieces[last], p...)
	}
	w.size += n
	w.accepted += uint64(n)
	w.queued++
}

// dropLocked drops the waiting frames.
func (w *Writer) dropLocked() { w.pieces, w.begun, w.size = nil, 0, 0 }

// pieceBytes is the capacity of a piece of several waiting frames.
const pieceBytes = 128 << 10

// pieces has unused pieces of pieceBytes. All links of a process share them, so that an idle link holds none.
var pieces = sync.Pool{New: func() any { return new([pieceBytes]byte) }}

// newPiece returns an empty piece for at least n bytes.
func newPiece(n int) []byte {
	if n > pieceBytes {
		return make([]byte, 0, n)
	}
	return pieces.Get().(*[pieceBytes]byte)[:0]
}

// freePiece ends the use of a piece.
func freePiece(p []byte) {
	if cap(p) == pieceBytes {
		pieces.Put((*[pieceBytes]byte)(p[:pieceBytes]))
	}
}

// flushLocked writes the waiting frames, then frame and rest. If another goroutine is writing, that one writes the
// waiting frames; frame must be nil then. Another goroutine writes the frames that come meanwhile, so that a caller
// does not wait for the frames of others.
func (w *Writer) flushLocked(frame []byte, rest ...[]byte) {
	if w.writing {
		return
	}
	w.writing = true
	if w.size+len(frame) > 0 && w.err == nil {
		out, begun := w.pieces, w.begun
		w.pieces, w.freeList, w.begun = w.freeList[:0], nil, 0
		w.written, w.size, w.queued = w.size, 0, 0
		w.mu.Unlock()
		err := w.putPieces(out, begun)
		if err == nil {
			err = w.put(frame)
		}
		if err == nil {
			err = w.put(rest...)
		}
		w.mu.Lock()
		w.written = 0
		if err != nil {
			w.err = err
		}
		clear(out)
		if w.freeList = out[:0]; cap(out) > 64 {
			w.freeList = nil
		}
	}
	w.writing = false
	w.flushLaterLocked()
	w.closeLocked()
}

// CloseAfter closes c when the waiting frames are written, or when a write fails. It does not wait.
func (w *Writer) CloseAfter(c io.Closer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closer = c
	w.closeLocked()
}

// closeLocked closes the closer in another goroutine if no frame waits: Close may wait for a reader that is about to
// write.
func (w *Writer) closeLocked() {
	if c := w.closer; c != nil && !w.writing && (w.size == 0 || w.err != nil) {
		w.closer = nil
		go func() { _ = c.Close() }()
	}
}

// putPieces writes pieces, of whose first begun bytes are written, and ends their use.
func (w *Writer) putPieces(pieces [][]byte, begun int) error {
	for _, p := range pieces {
		if err := w.put(p[begun:]); err != nil {
			return err
		}
		begun = 0
		freePiece(p)
	}
	return nil
}

// chunkBytes is the part of a large frame after which Sent grows.
const chunkBytes = 256 << 10

// put writes parts of a stream, in order.
func (w *Writer) put(parts ...[]byte) error {
	for _, p := range parts {
		for len(p) > 0 {
			n, err := w.w.Write(p[:min(len(p), chunkBytes)])
			w.sent.Add(uint64(n))
			if err != nil {
				return err
			}
			p = p[n:]
		}
	}
	return nil
}
