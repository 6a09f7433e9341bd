package loop

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hearthhost/hearth/internal/nonblock"
)

// Conn is a stream socket of a loop. Close, deadlines and addresses are safe for concurrent use. One goroutine may read
// and one may write at a time; while a handler is set, only the loop's goroutine reads and writes.
type Conn struct {
	loop          *Loop
	source        *Source
	local, remote net.Addr

	io     sync.RWMutex // held for reading during system calls, and for writing to close the descriptor
	fd     int
	closed atomic.Bool

	mu      sync.Mutex // guards the fields below
	handler Handler    // nil: the connection belongs to a goroutine
	in, out direction
}

// direction is the state of reading or of writing.
type direction struct {
	ready    bool          // an event came since the last attempt
	wake     chan struct{} // of a goroutine that waits; nil: none
	deadline time.Time
}

// Adopt takes a socket over from the runtime's poller: two pollers would both be woken by each event. The loop owns the
// descriptor afterwards and nc is closed. After an error nc is unchanged.
func (l *Loop) Adopt(nc net.Conn) (*Conn, error) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("loop: a %T is no socket", nc)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("loop: %w", err)
	}
	fd := -1
	var failed error
	if err := raw.Control(func(old uintptr) {
		fd, failed = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
	}); err != nil {
		return nil, fmt.Errorf("loop: %w", err)
	}
	if failed != nil {
		return nil, os.NewSyscallError("fcntl", failed)
	}
	c := &Conn{loop: l, fd: fd, local: nc.LocalAddr(), remote: nc.RemoteAddr()}
	c.source, err = l.watch(fd, inputEvents|unix.EPOLLOUT, c)
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	nc.Close()
	return c, nil
}

// event implements the source's handler. It wakes the goroutine that waits, or calls the handler.
func (c *Conn) event(events uint32) {
	c.mu.Lock()
	h := c.handler
	if events&^unix.EPOLLOUT != 0 {
		c.in.signal()
	}
	if events&^unix.EPOLLIN != 0 {
		c.out.signal()
	}
	c.mu.Unlock()
	if h != nil && events&^unix.EPOLLOUT != 0 {
		h.Ready(events&endEvents != 0)
	}
}

// signal notes an event and wakes the goroutine that waits.
func (d *direction) signal() {
	d.ready = true
	if d.wake != nil {
		close(d.wake)
		d.wake = nil
	}
}

// Loop returns the connection's loop.
func (c *Conn) Loop() *Loop { return c.loop }

// Park gives the connection to a handler. Its Ready is called soon, whether bytes have come or not. The goroutine that
// calls Park must not use the connection afterwards.
func (c *Conn) Park(h Handler) {
	c.mu.Lock()
	c.handler = h
	c.mu.Unlock()
	c.loop.Post(func() { c.ready(h) })
}

// Notify calls Ready of the handler soon, if there is one.
func (c *Conn) Notify() {
	c.mu.Lock()
	h := c.handler
	c.mu.Unlock()
	if h != nil {
		c.loop.Post(func() { c.ready(h) })
	}
}

func (c *Conn) ready(h Handler) {
	c.mu.Lock()
	same := c.handler == h
	c.mu.Unlock()
	if same {
		h.Ready(true) // an end may have been reported while the connection had no handler
	}
}

// Unpark takes the connection from its handler. The loop's goroutine calls it, and gives the connection to a goroutine.
func (c *Conn) Unpark() {
	c.mu.Lock()
	c.handler = nil
	c.mu.Unlock()
}

// TryRead reads the bytes that have arrived. ok is false if no bytes have. n is 0 with ok at the end of the stream.
func (c *Conn) TryRead(p []byte) (n int, ok bool, err error) {
	c.io.RLock()
	defer c.io.RUnlock()
	if c.closed.Load() {
		return 0, true, net.ErrClosed
	}
	return nonblock.Read(uintptr(c.fd), p)
}

// TryWrite writes the part of p for which there is room.
func (c *Conn) TryWrite(p []byte) (n int, err error) {
	c.io.RLock()
	defer c.io.RUnlock()
	for n < len(p) {
		if c.closed.Load() {
			return n, net.ErrClosed
		}
		some, ok, err := nonblock.Write(uintptr(c.fd), p[n:])
		if n += some; err != nil || !ok {
			return n, err
		}
	}
	return n, nil
}

// Read implements [net.Conn].
func (c *Conn) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	err = c.await(&c.in, func() bool {
		var ok bool
		n, ok, err = c.TryRead(p)
		return ok
	}, &err)
	switch {
	case err != nil:
		return 0, c.opError("read", err)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// Write implements [net.Conn].
func (c *Conn) Write(p []byte) (n int, err error) {
	err = c.await(&c.out, func() bool {
		var some int
		some, err = c.TryWrite(p[n:])
		n += some
		return n == len(p) || err != nil
	}, &err)
	if err != nil {
		return n, c.opError("write", err)
	}
	return n, nil
}

// await calls try until it returns true, and waits for an event between two calls. It then returns *failed. It returns
// os.ErrDeadlineExceeded after the deadline, which may change meanwhile, also in try.
func (c *Conn) await(d *direction, try func() bool, failed *error) error {
	for {
		c.mu.Lock()
		d.ready = false
		late := d.late()
		c.mu.Unlock()
		if late {
			return os.ErrDeadlineExceeded
		}
		if try() {
			return *failed
		}
		if !c.wait(d) {
			return os.ErrDeadlineExceeded
		}
	}
}

// wait waits for an event. It reports false after the deadline.
func (c *Conn) wait(d *direction) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !d.ready {
		if d.late() {
			return false
		}
		wake, deadline := make(chan struct{}), d.deadline
		d.wake = wake
		c.mu.Unlock()
		waitUntil(wake, deadline)
		c.mu.Lock()
		if d.wake == wake {
			d.wake = nil
		}
	}
	return true
}

// late reports whether the deadline has passed.
func (d *direction) late() bool { return !d.deadline.IsZero() && !time.Now().Before(d.deadline) }

// waitUntil waits until wake is closed, at most until the deadline unless that is zero.
func waitUntil(wake <-chan struct{}, deadline time.Time) {
	if deadline.IsZero() {
		<-wake
		return
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-wake:
	case <-timer.C:
	}
}

func (c *Conn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: c.local.Network(), Source: c.local, Addr: c.remote, Err: err}
}

// Duplicate returns another descriptor of the socket, for another process. The caller closes it.
func (c *Conn) Duplicate() (*os.File, error) {
	c.io.RLock()
	defer c.io.RUnlock()
	if c.closed.Load() {
		return nil, c.opError("duplicate", net.ErrClosed)
	}
	fd, err := unix.FcntlInt(uintptr(c.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), "connection"), nil
}

// Close implements [net.Conn]. A handler gets a last call of Ready.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return c.opError("close", net.ErrClosed)
	}
	c.source.remove()
	c.io.Lock()
	_ = unix.Close(c.fd)
	c.io.Unlock()
	c.mu.Lock()
	c.in.signal()
	c.out.signal()
	c.mu.Unlock()
	c.Notify()
	return nil
}

// CloseWrite ends the stream to the peer.
func (c *Conn) CloseWrite() error {
	c.io.RLock()
	defer c.io.RUnlock()
	if c.closed.Load() {
		return c.opError("close", net.ErrClosed)
	}
	return os.NewSyscallError("shutdown", unix.Shutdown(c.fd, unix.SHUT_WR))
}

// LocalAddr implements [net.Conn].
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements [net.Conn].
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements [net.Conn].
func (c *Conn) SetDeadline(t time.Time) error { return c.setDeadline(t, &c.in, &c.out) }

// SetReadDeadline implements [net.Conn].
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(t, &c.in) }

// SetWriteDeadline implements [net.Conn].
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(t, &c.out) }

func (c *Conn) setDeadline(t time.Time, all ...*direction) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range all {
		d.deadline = t
		if d.wake != nil {
			close(d.wake)
			d.wake = nil
		}
	}
	return nil
}

// SyscallConn implements [syscall.Conn].
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return rawConn{c}, nil }

// rawConn is the raw connection of a Conn that belongs to a goroutine.
type rawConn struct{ c *Conn }

// Control implements [syscall.RawConn].
func (r rawConn) Control(f func(fd uintptr)) error {
	r.c.io.RLock()
	defer r.c.io.RUnlock()
	if r.c.closed.Load() {
		return net.ErrClosed
	}
	f(uintptr(r.c.fd))
	return nil
}

// Read implements [syscall.RawConn].
func (r rawConn) Read(f func(fd uintptr) bool) error { return r.do(&r.c.in, f) }

// Write implements [syscall.RawConn].
func (r rawConn) Write(f func(fd uintptr) bool) error { return r.do(&r.c.out, f) }

func (r rawConn) do(d *direction, f func(fd uintptr) bool) error {
	var err error
	return r.c.await(d, func() bool {
		var done bool
		err = r.Control(func(fd uintptr) { done = f(fd) })
		return done || err != nil
	}, &err)
}
