package signed

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// firstBuffer is the initial size of a reader's buffer, which grows with the records.
const firstBuffer = 4 << 10

// keepBuffer bounds the buffer of an idle reader or writer.
const keepBuffer = 32 << 10

// errCut reports that the stream ended without the final record.
var errCut = fmt.Errorf("%w: the stream was cut", ErrIntegrity)

// reader reads records. It is a loop around an opener.
type reader struct {
	mu         sync.Mutex // guards the fields below
	nc         net.Conn
	opener     opener
	buf        []byte
	start, end int    // buf[start:end] has arrived and is not parsed yet
	plain      []byte // unread bytes of the last verified record
}

func (r *reader) init(nc net.Conn, key []byte) {
	r.nc = nc
	r.opener.init(key)
}

func (r *reader) read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	for len(r.plain) == 0 {
		if err := r.record(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.plain)
	r.plain = r.plain[n:]
	return n, nil
}

// record reads and verifies one record. After an error that is not final, such as a deadline, it can be called again
// and continues.
func (r *reader) record() error {
	for {
		plain, size, need, err := r.opener.open(r.buf[r.start:r.end])
		switch {
		case err != nil:
			return r.fail(err)
		case need == 0:
			r.start += size
			r.plain = plain
			return nil
		}
		if err := r.fill(need); err != nil {
			return err
		}
	}
}

func (r *reader) fail(err error) error {
	r.opener.err, r.buf, r.plain = err, nil, nil
	r.start, r.end = 0, 0
	return err
}

// fill reads until buf has n bytes from start.
func (r *reader) fill(n int) error {
	if r.start == r.end {
		r.start, r.end = 0, 0
		if len(r.buf) > keepBuffer && n <= firstBuffer {
			r.buf = nil // a rare large record must not hold its memory
		}
	}
	if r.start+n > len(r.buf) {
		buf := r.buf
		if n > len(buf) {
			buf = make([]byte, max(firstBuffer, n))
		}
		r.end = copy(buf, r.buf[r.start:r.end])
		r.buf, r.start = buf, 0
	}
	for r.end-r.start < n {
		got, err := r.nc.Read(r.buf[r.end:])
		r.end += got
		switch {
		case err == nil || r.end-r.start >= n:
		case errors.Is(err, io.EOF):
			return r.fail(errCut)
		default:
			return err
		}
	}
	return nil
}

// writer writes records of a sealer.
type writer struct {
	mu     sync.Mutex // guards the fields below
	nc     net.Conn
	sealer sealer
	buf    []byte
}

func (w *writer) init(nc net.Conn, key []byte) {
	w.nc = nc
	w.sealer.init(key)
}

func (w *writer) write(p []byte) (n int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(p) > 0 {
		part := p[:min(len(p), MaxRecord)]
		if err := w.recordLocked(part); err != nil {
			return n, err
		}
		n += len(part)
		p = p[len(part):]
	}
	return n, nil
}

func (w *writer) end() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.endLocked()
}

// endLocked sends the final record. Further calls do nothing.
func (w *writer) endLocked() error {
	if w.sealer.err != nil {
		return nil //nolint:nilerr // the direction has ended already
	}
	err := w.recordLocked(nil)
	if err == nil {
		w.sealer.err = net.ErrClosed
	}
	return err
}

func (w *writer) recordLocked(p []byte) error {
	if w.sealer.err != nil {
		return w.sealer.err
	}
	w.buf = w.sealer.record(w.buf[:0], p)
	// A partly written record cannot be undone.
	_, w.sealer.err = w.nc.Write(w.buf)
	if cap(w.buf) > keepBuffer {
		w.buf = nil
	}
	return w.sealer.err
}
