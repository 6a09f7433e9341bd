package signed

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
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

// reader parses records.
type reader struct {
	mu         sync.Mutex // guards the fields below
	nc         net.Conn
	tagger     tagger
	buf        []byte
	start, end int    // buf[start:end] has arrived and is not parsed yet
	plain      []byte // unread bytes of the last verified record
	err        error  // final error
}

func (r *reader) init(nc net.Conn, key []byte) {
	r.nc, r.tagger.mac = nc, hmac.New(sha256.New, key)
}

func (r *reader) read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	for len(r.plain) == 0 {
		if r.err != nil {
			return 0, r.err
		}
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
	if err := r.fill(lengthBytes); err != nil {
		return err
	}
	n := int(binary.BigEndian.Uint32(r.buf[r.start:]))
	if n > MaxRecord {
		return r.fail(fmt.Errorf("%w: a record of %d bytes (at most %d)", ErrIntegrity, n, MaxRecord))
	}
	if err := r.fill(lengthBytes + n + macBytes); err != nil {
		return err
	}
	record := r.buf[r.start : r.start+lengthBytes+n]
	tag := r.buf[r.start+lengthBytes+n : r.start+lengthBytes+n+macBytes]
	if !hmac.Equal(tag, r.tagger.next(record)) {
		return r.fail(ErrIntegrity)
	}
	r.start += lengthBytes + n + macBytes
	r.plain = record[lengthBytes:]
	if n == 0 {
		return r.fail(io.EOF)
	}
	return nil
}

func (r *reader) fail(err error) error {
	r.err, r.buf, r.plain = err, nil, nil
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

// writer writes records.
type writer struct {
	mu     sync.Mutex // guards the fields below
	nc     net.Conn
	tagger tagger
	buf    []byte
	err    error // final error
}

func (w *writer) init(nc net.Conn, key []byte) {
	w.nc, w.tagger.mac = nc, hmac.New(sha256.New, key)
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
	if w.err != nil {
		return nil //nolint:nilerr // the direction has ended already
	}
	err := w.recordLocked(nil)
	if err == nil {
		w.err = net.ErrClosed
	}
	return err
}

func (w *writer) recordLocked(p []byte) error {
	if w.err != nil {
		return w.err
	}
	w.buf = binary.BigEndian.AppendUint32(w.buf[:0], uint32(len(p)))
	w.buf = append(w.buf, p...)
	w.buf = append(w.buf, w.tagger.next(w.buf)...)
	// A partly written record cannot be undone.
	_, w.err = w.nc.Write(w.buf)
	if cap(w.buf) > keepBuffer {
		w.buf = nil
	}
	return w.err
}
