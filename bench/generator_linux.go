package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"github.com/hearthhost/hearth/internal/nonblock"
)

// answerTimeout bounds the wait for the next bytes of any answer.
const answerTimeout = 10 * time.Second

// generator makes load with one thread: nonblocking sockets, one epoll, prepared requests and answers. It costs the
// same for every server. Each connection has one exchange at a time. Not safe for concurrent use.
type generator struct {
	epoll   int
	conns   []*generatorConn
	x       *exchange
	timeout time.Duration // answerTimeout, shorter in tests
}

// generatorConn is one connection of a generator.
type generatorConn struct {
	fd       int
	unsent   []byte // rest of the request that the socket has not accepted
	buf      []byte // received bytes of the answer; one byte larger, so that an answer that is too long is noticed
	received int
	begin    time.Time // start of the exchange
}

// newGenerator returns a generator without connections.
func newGenerator(x *exchange) (*generator, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("creating an epoll: %w", err)
	}
	return &generator{epoll: epoll, x: x, timeout: answerTimeout}, nil
}

// add adds a connection, which it takes from Go's poller.
func (g *generator) add(nc net.Conn) error {
	defer nc.Close()
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return errors.New("the connection is not a socket")
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	var fd int
	controlled := raw.Control(func(open uintptr) { fd, err = syscall.Dup(int(open)) })
	if err := errors.Join(controlled, err); err != nil {
		return fmt.Errorf("duplicating a socket: %w", err)
	}
	g.conns = append(g.conns, &generatorConn{fd: fd, buf: make([]byte, len(g.x.answer)+1)})
	return g.watch(syscall.EPOLL_CTL_ADD, len(g.conns)-1, syscall.EPOLLIN)
}

// watch sets the events of connection i.
func (g *generator) watch(operation, i int, events uint32) error {
	event := syscall.EpollEvent{Events: events, Fd: int32(i)}
	return syscall.EpollCtl(g.epoll, operation, g.conns[i].fd, &event)
}

// close closes all connections.
func (g *generator) close() {
	for _, c := range g.conns {
		_ = syscall.Close(c.fd)
	}
	_ = syscall.Close(g.epoll)
}

// run makes exchanges on all connections for a time, and at least one on each. It returns the durations of the
// exchanges in their order. The first wrong answer ends it with errWrong.
func (g *generator) run(d time.Duration) (elapsed time.Duration, times []time.Duration, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	times = make([]time.Duration, 0, 1<<20)
	events := make([]syscall.EpollEvent, len(g.conns))
	start := time.Now()
	for i := range g.conns {
		if err := g.begin(i, start); err != nil {
			return 0, nil, err
		}
	}
	for live := len(g.conns); live > 0; {
		n, err := g.wait(events)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return 0, nil, fmt.Errorf("waiting for answers: %w", err)
		}
		if n == 0 {
			return 0, nil, fmt.Errorf("%d of %d connections got no answer for %s", live, len(g.conns), g.timeout)
		}
		now := time.Now()
		for _, event := range events[:n] {
			i := int(event.Fd)
			c := g.conns[i]
			if len(c.unsent) > 0 {
				if err := g.send(i); err != nil {
					return 0, nil, err
				}
			}
			if event.Events&^syscall.EPOLLOUT == 0 {
				continue
			}
			whole, err := c.receive(g.x)
			if err != nil {
				return 0, nil, err
			}
			if !whole {
				continue
			}
			times = append(times, now.Sub(c.begin))
			if now.Sub(start) >= d {
				live--
				continue
			}
			if err := g.begin(i, now); err != nil {
				return 0, nil, err
			}
		}
	}
	return time.Since(start), times, nil
}

// wait waits for events. Go's scheduler does not see the system call: otherwise its monitor would wake every 20 µs and
// take processor time from the server.
func (g *generator) wait(events []syscall.EpollEvent) (int, error) {
	first := unsafe.Pointer(unsafe.SliceData(events)) //nolint:gosec // it has len(events) elements
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(g.epoll), uintptr(first), uintptr(len(events)),
		uintptr(g.timeout.Milliseconds()), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// begin starts an exchange on connection i.
func (g *generator) begin(i int, now time.Time) error {
	c := g.conns[i]
	c.begin, c.unsent = now, g.x.request
	return g.send(i)
}

// send sends the rest of the request. It watches for space in the socket only while there is a rest.
func (g *generator) send(i int) error {
	c := g.conns[i]
	fresh := len(c.unsent) == len(g.x.request)
	n, _, err := nonblock.Write(uintptr(c.fd), c.unsent)
	if err != nil {
		return err
	}
	c.unsent = c.unsent[n:]
	switch {
	case len(c.unsent) > 0:
		return g.watch(syscall.EPOLL_CTL_MOD, i, syscall.EPOLLIN|syscall.EPOLLOUT)
	case !fresh:
		return g.watch(syscall.EPOLL_CTL_MOD, i, syscall.EPOLLIN)
	}
	return nil
}

// receive reads the available bytes of the answer and compares them. whole reports whether the answer is complete.
func (c *generatorConn) receive(x *exchange) (whole bool, err error) {
	n, ok, err := nonblock.Read(uintptr(c.fd), c.buf[c.received:])
	switch {
	case err != nil:
		return false, err
	case !ok:
		return false, nil
	case n == 0:
		return false, io.ErrUnexpectedEOF
	}
	end := c.received + n
	if !x.matches(c.buf[:end], c.received) {
		return false, fmt.Errorf("%w: %s returned %d bytes, %.200q, not %d bytes, %.200q", errWrong, x.name, end,
			c.buf[:end], len(x.answer), x.answer)
	}
	c.received = end
	if end < len(x.answer) {
		return false, nil
	}
	c.received = 0
	return true, nil
}

// matches reports whether the bytes of got from an offset are those of the answer, except the free ones.
func (x *exchange) matches(got []byte, from int) bool {
	if len(got) > len(x.answer) {
		return false
	}
	return equalRange(got, x.answer, from, min(len(got), x.free[0])) &&
		equalRange(got, x.answer, max(from, x.free[1]), len(got))
}

// equalRange reports whether two slices are equal in a range, which may be empty.
func equalRange(a, b []byte, from, to int) bool {
	return from >= to || bytes.Equal(a[from:to], b[from:to])
}
