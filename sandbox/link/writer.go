package link

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
)

// MaxBacklogBytes bounds the requests and answers that wait for a peer that does not read.
const MaxBacklogBytes = 64 << 20

// MaxPostedBytes bounds the frames that wait in all, those of Post included. A peer with more
// waiting is given up: the link fails.
const MaxPostedBytes = 2 * MaxBacklogBytes

// maxQueued is how many frames Queue lets wait for each other.
const maxQueued = 32

// ErrBacklog says that the other end does not keep up: the frame was not written.
var ErrBacklog = errors.New("the other end of the link does not keep up")

// ErrStalled fails a link whose peer has not read for so long that MaxPostedBytes wait for it.
var ErrStalled = fmt.Errorf("link: more than %d MiB wait for the other end, which does not read", MaxPostedBytes>>20)

// Writer writes frames. Frames that are offered while a write is under way go out
// together in the next one. Safe for concurrent use.
//
// Write, WriteBefore and Queue may wait until the peer reads. A goroutine that reads the same link,
// or that holds a lock, uses Post, which never waits: if both ends waited in their readers, neither
// would read again.
type Writer struct {
	w io.Writer

	mu             sync.Mutex // guards what follows
	pieces         [][]byte   // frames waiting, in pieces: one buffer that grows would be there twice
	size           int        // bytes of them
	written        int        // bytes that somebody is writing
	queued         int        // frames since the last write
	freePiece      []byte     // the piece to fill next
	freeList       [][]byte   // the list of pieces to fill next
	writing        bool       // somebody is in w.Write
	flushScheduled bool       // somebody will write when the goroutines that can run now have run
	err            error      // the first failure; sticky
	closer         io.Closer  // what to close when all is written; nil: nothing

	accepted uint64        // bytes that were accepted so far
	sent     atomic.Uint64 // bytes of them that the system has taken

	maxPosted  int // bound on the bytes that wait, see MaxPostedBytes
	maxBacklog int // bound for frames that may be refused, see MaxBacklogBytes
}

// NewWriter returns a Writer on w.
func NewWriter(w io.Writer) *Writer {
	return &Writer{w: w, maxPosted: MaxPostedBytes, maxBacklog: MaxBacklogBytes}
}

// Post appends one frame to those that wait and returns. Another goroutine writes it. The slice may be used
// again when Post returns. An error means that the link is dead, or has just failed because more than
// MaxPostedBytes wait.
func (w *Writer) Post(frame []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.appendLocked(frame)
	w.flushLaterLocked()
	return w.err
}

// Write sends one frame that was made by an [Encoder], and all that wait, at once. The
// slice may be used again when Write returns. An error means that the link is dead. However
// much waits, the frame is not refused: those to come may rely on it.
func (w *Writer) Write(frame []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.appendLocked(frame)
	w.flushLocked(nil)
	return w.err
}

// WriteParts sends a frame and the rest of its last field, as [Encoder.FramePrefix] wants
// it, as Write does, and returns the position in the stream behind it, see [Writer.Sent]. What is [Large] is not
// copied, unless another goroutine is writing. The error may be [ErrBacklog].
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

// Sent returns how many bytes of the stream the system has taken. A frame whose end is behind that
// position has not reached the peer.
func (w *Writer) Sent() uint64 { return w.sent.Load() }

// Limit sets other bounds than MaxBacklogBytes and MaxPostedBytes. Call it before the first frame.
func (w *Writer) Limit(backlog, posted int) { w.maxBacklog, w.maxPosted = backlog, posted }

// Queue is WriteBefore for a frame that can wait until the goroutines that can run now have
// run, so that their frames and this one cost one system call. A failure to write shows
// in a later call, and in the [Reader] at the other end of the same socket.
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

// flushLaterLocked has another goroutine write what waits, after the goroutines that can run now.
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

// fullLocked reports whether too much waits for a frame of so many bytes to wait, too. Nothing
// waits for a peer that is gone.
func (w *Writer) fullLocked(size int) bool {
	return w.err == nil && w.size > 0 && w.written+w.size+size > w.maxBacklog
}

// appendLocked lets a frame wait. It fails the link if too much waits.
func (w *Writer) appendLocked(frame []byte, rest ...[]byte) {
	if w.err == nil && w.size > w.maxPosted {
		w.err = ErrStalled
		w.pieces, w.size = nil, 0
	}
	if w.err != nil {
		return
	}
	n := len(frame)
	for _, p := range rest {
		n += len(p)
	}
	last := len(w.pieces) - 1
	if last < 0 || len(w.pieces[last])+n > maxPiece {
		piece := w.freePiece
		w.freePiece = nil
		if cap(piece) < n {
			piece = make([]byte, 0, n)
		}
		w.pieces = append(w.pieces, piece[:0])
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

// maxPiece is up to which size frames that wait are copied together, in bytes.
const maxPiece = 256 << 10

// flushLocked writes what waits, unless another goroutine is writing, which will; and behind it a
// frame in parts, if there is one: then no other goroutine may be writing. Frames that are offered
// meanwhile are left to a goroutine of their own: a caller is not kept by the frames of others.
func (w *Writer) flushLocked(frame []byte, rest ...[]byte) {
	if w.writing {
		return
	}
	w.writing = true
	if w.size+len(frame) > 0 && w.err == nil {
		out := w.pieces
		w.pieces, w.freeList = w.freeList[:0], nil
		w.written, w.size, w.queued = w.size, 0, 0
		w.mu.Unlock()
		err := w.put(out...)
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
		if len(out) > 0 && cap(out[0]) <= maxPiece {
			w.freePiece = out[0][:0] // a rare burst does not keep its memory
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

// CloseAfter closes c when all frames that wait have been written, or when writing fails. It does not wait.
func (w *Writer) CloseAfter(c io.Closer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closer = c
	w.closeLocked()
}

// closeLocked closes the closer if nothing is to be written. Another goroutine does so: Close may wait for a
// reader that is about to write.
func (w *Writer) closeLocked() {
	if c := w.closer; c != nil && !w.writing && (w.size == 0 || w.err != nil) {
		w.closer = nil
		go func() { _ = c.Close() }()
	}
}

// put writes parts of a stream, in order.
func (w *Writer) put(parts ...[]byte) error {
	for _, p := range parts {
		if len(p) == 0 {
			continue
		}
		n, err := w.w.Write(p)
		w.sent.Add(uint64(n))
		if err != nil {
			return err
		}
	}
	return nil
}
