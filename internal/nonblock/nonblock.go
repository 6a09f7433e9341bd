// Package nonblock reads and writes nonblocking sockets by system calls that Go's scheduler does not see.
//
// The scheduler takes the processor from a goroutine whose system call takes longer than some 20 µs. A write to a
// socket often does: it does not wait, but the kernel runs the woken reader first. The scheduler then wakes a second
// thread, which finds no work, and later wakes it beside the first one for each event. For sockets that never block
// this is pure cost, a third of the time of a short call. Under the race detector, which instruments system calls,
// the package uses ordinary ones.
package nonblock

import (
	"io"
	"net"
	"os"
	"syscall"
)

// Read reads from a nonblocking descriptor. ok is false if no bytes have arrived yet. n is 0 with ok at the end of the
// input.
func Read(fd uintptr, p []byte) (n int, ok bool, err error) {
	for {
		if n, errno := read(fd, p); errno != syscall.EINTR {
			return outcome("read", n, errno)
		}
	}
}

// Write writes the part of p that a nonblocking descriptor accepts. ok is false if it accepts no bytes now.
func Write(fd uintptr, p []byte) (n int, ok bool, err error) {
	for {
		if n, errno := write(fd, p); errno != syscall.EINTR {
			return outcome("write", n, errno)
		}
	}
}

// outcome returns the results of Read or Write for a system call that was not interrupted.
func outcome(call string, n int, errno syscall.Errno) (int, bool, error) {
	if errno == syscall.EAGAIN {
		return 0, false, nil
	}
	if errno != 0 {
		return 0, true, os.NewSyscallError(call, errno)
	}
	return n, true, nil
}

// Conn is a stream socket with the Read and Write of this package. Its other methods are those of the embedded
// connection. One goroutine may read and one may write at a time.
type Conn struct {
	net.Conn
	raw syscall.RawConn

	in, out  operation
	readFunc func(uintptr) bool // created once, so that calls do not allocate
	outFunc  func(uintptr) bool
	idle     func()
}

// operation holds the buffer and the result of a read or write.
type operation struct {
	p   []byte
	n   int
	err error
}

// Wrap returns nc as a [Conn], or nc itself if it is not a socket.
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

// OnIdle sets a function that Read calls before it waits for input, in the goroutine of Read. Call it before the first
// Read.
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
		err = c.opError("read", c.in.err)
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
		err = c.opError("write", c.out.err)
	}
	c.out = operation{}
	return n, err
}

// opError returns an error of a system call in the form of package net.
func (c *Conn) opError(op string, err error) error {
	local := c.LocalAddr()
	return &net.OpError{Op: op, Net: local.Network(), Source: local, Addr: c.RemoteAddr(), Err: err}
}

// SyscallConn implements [syscall.Conn].
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return c.raw, nil }

// CloseWrite closes the writing side of a socket that supports it.
func (c *Conn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}
