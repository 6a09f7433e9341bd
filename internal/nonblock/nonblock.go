// Package nonblock reads and writes nonblocking sockets without telling Go's scheduler.
//
// An ordinary system call gives the goroutine's processor away if it takes longer than
// some 20 µs. A write to a socket often does, not because it waits but because the kernel
// runs the woken reader first; what follows is a second thread that wakes, finds nothing
// to do, and from then on is woken beside the first for each event. For sockets that
// never block, all of that is loss: it takes a third of the time of a short call. Under the
// race detector, which looks into system calls, the ordinary ones are used.
package nonblock

import (
	"io"
	"net"
	"os"
	"syscall"
)

// Read reads what has arrived at a nonblocking descriptor: n is 0 only at the end. ok is
// false if nothing has arrived yet.
func Read(fd uintptr, p []byte) (n int, ok bool, err error) {
	for {
		if n, errno := read(fd, p); errno != syscall.EINTR {
			return outcome("read", n, errno)
		}
	}
}

// Write writes what a nonblocking descriptor takes of p. ok is false if it takes nothing
// now.
func Write(fd uintptr, p []byte) (n int, ok bool, err error) {
	for {
		if n, errno := write(fd, p); errno != syscall.EINTR {
			return outcome("write", n, errno)
		}
	}
}

// outcome says what a system call that was not interrupted came to.
func outcome(call string, n int, errno syscall.Errno) (int, bool, error) {
	if errno == syscall.EAGAIN {
		return 0, false, nil
	}
	if errno != 0 {
		return 0, true, os.NewSyscallError(call, errno)
	}
	return n, true, nil
}

// Conn is a stream socket whose Read and Write work as described above; the rest, with
// deadlines and Close, is the embedded connection's. One goroutine may read and one
// write at a time.
type Conn struct {
	net.Conn
	raw syscall.RawConn

	in, out  operation
	readFunc func(uintptr) bool // made once: a closure a call would be an allocation
	outFunc  func(uintptr) bool
	idle     func()
}

// operation is what the functions above work on.
type operation struct {
	p   []byte
	n   int
	err error
}

// Wrap returns nc as a [Conn], or nc itself if it is no socket.
func Wrap(nc net.Conn) net.Conn {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nc
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nc
	}
	c := &Conn{Conn: nc, raw: raw}
	c.readFunc = func(fd uintptr) (ok bool) {
		c.in.n, ok, c.in.err = Read(fd, c.in.p)
		if !ok && c.idle != nil {
			c.idle()
		}
		return ok
	}
	c.outFunc = func(fd uintptr) bool {
		for c.out.n < len(c.out.p) {
			n, ok, err := Write(fd, c.out.p[c.out.n:])
			if c.out.err = err; err != nil {
				return true
			}
			if c.out.n += n; !ok {
				return false
			}
		}
		return true
	}
	return c
}

// OnIdle has f called whenever Read found nothing and is about to wait, by the goroutine
// that reads. It is set before the first Read.
func (c *Conn) OnIdle(f func()) { c.idle = f }

// Read implements [net.Conn].
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.in = operation{p: p}
	err := c.raw.Read(c.readFunc)
	n := c.in.n
	switch {
	case err != nil:
	case c.in.err != nil:
		err = &net.OpError{Op: "read", Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: c.in.err}
	case n == 0:
		err = io.EOF
	}
	c.in = operation{}
	return n, err
}

// Write implements [net.Conn].
func (c *Conn) Write(p []byte) (int, error) {
	c.out = operation{p: p}
	err := c.raw.Write(c.outFunc)
	n := c.out.n
	if err == nil && c.out.err != nil {
		err = &net.OpError{Op: "write", Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: c.out.err}
	}
	c.out = operation{}
	return n, err
}

// SyscallConn implements [syscall.Conn].
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return c.raw, nil }

// CloseWrite ends the writing side, if the socket can.
func (c *Conn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}
