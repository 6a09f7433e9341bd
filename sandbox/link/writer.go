package link

import (
	"errors"
	"io"
	"runtime"
	"sync"
)

// MaxBacklogBytes bounds the requests and answers that wait for a peer that does not read.
const MaxBacklogBytes = 64 << 20

// maxQueued is how many frames Queue lets wait for each other.
const maxQueued = 32

// ErrBacklog says that the other end does not keep up: the frame was not written.
var ErrBacklog = errors.New("the other end of the link does not keep up")

// Writer writes frames. Frames that are offered while a write is under way go out
// together in the next one. Safe for concurrent use.
type Writer struct {
	w io.Writer

	mu      sync.Mutex // guards what follows
	buf     []byte     // frames waiting
	queued  int        // how many, since the last write
	spare   []byte     // the buffer to fill next
	writing bool       // somebody is in w.Write
	soon    bool       // somebody will write when the goroutines that can run now have run
	err     error      // the first failure; sticky
}

// NewWriter returns a Writer on w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

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

// WriteBefore sends a frame and the rest of its last field, as [Encoder.FrameBefore] wants
// it, as Write does. What is [Large] is not copied, unless somebody else is writing. It may
// be [ErrBacklog].
func (w *Writer) WriteBefore(frame []byte, rest ...[]byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	size := len(frame)
	for _, p := range rest {
		size += len(p)
	}
	if w.err == nil && !w.writing && size > Large {
		w.flushLocked(frame, rest...)
		return w.err
	}
	if w.fullLocked(size) {
		return ErrBacklog
	}
	w.appendLocked(frame, rest...)
	w.flushLocked(nil)
	return w.err
}

// Queue is WriteBefore for a frame that can wait until the goroutines that can run now have
// run, so that their frames and this one cost one system call. A failure to write shows
// in a later call, and in the [Reader] at the other end of the same socket.
func (w *Writer) Queue(frame []byte) error {
	if len(frame) > Large {
		return w.WriteBefore(frame)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fullLocked(len(frame)) {
		return ErrBacklog
	}
	w.appendLocked(frame)
	switch {
	case w.queued >= maxQueued:
		w.flushLocked(nil)
	case !w.soon && !w.writing:
		w.soon = true
		go func() { // ends with the write
			runtime.Gosched()
			w.mu.Lock()
			defer w.mu.Unlock()
			w.soon = false
			w.flushLocked(nil)
		}()
	}
	return w.err
}

// fullLocked reports whether too much waits for a frame of so many bytes to wait, too. Nothing
// waits for a peer that is gone.
func (w *Writer) fullLocked(size int) bool {
	return w.err == nil && len(w.buf) > 0 && len(w.buf)+size > MaxBacklogBytes
}

// appendLocked lets a frame wait, if anybody can still be written to.
func (w *Writer) appendLocked(frame []byte, rest ...[]byte) {
	if w.err != nil {
		return
	}
	w.buf = append(w.buf, frame...)
	for _, p := range rest {
		w.buf = append(w.buf, p...)
	}
	w.queued++
}

// flushLocked writes what waits, unless somebody does already, who will; and behind it a
// frame in parts, if there is one: then nobody may be writing.
func (w *Writer) flushLocked(frame []byte, rest ...[]byte) {
	if w.writing {
		return
	}
	w.writing = true
	for len(w.buf)+len(frame) > 0 && w.err == nil {
		out := w.buf
		w.buf, w.queued = w.spare[:0], 0
		w.mu.Unlock()
		err := w.put(out, frame)
		if err == nil {
			err = w.put(rest...)
		}
		frame, rest = nil, nil
		w.mu.Lock()
		if err != nil {
			w.err = err
		}
		if w.spare = out[:0]; cap(out) > 1<<20 {
			w.spare = nil // a rare burst must not hold its memory for ever
		}
	}
	w.writing = false
}

// put writes parts of a stream, in order.
func (w *Writer) put(parts ...[]byte) error {
	for _, p := range parts {
		if len(p) == 0 {
			continue
		}
		if _, err := w.w.Write(p); err != nil {
			return err
		}
	}
	return nil
}
