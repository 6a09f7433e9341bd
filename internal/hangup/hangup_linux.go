package hangup

import (
	"errors"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Watcher watches sockets. It is safe for concurrent use.
type Watcher struct {
	epoll *os.File // the epoll instance; Go's scheduler waits for it
	raw   syscall.RawConn

	mu    sync.Mutex // guards the fields below
	last  uint64
	funcs map[uint64]func(Event) // by the number that events of the socket carry
}

// New returns a watcher whose goroutine runs until Close.
func New() (*Watcher, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // so that os.File registers it at the scheduler
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	w := &Watcher{epoll: os.NewFile(uintptr(fd), "epoll"), funcs: map[uint64]func(Event){}}
	if w.raw, err = w.epoll.SyscallConn(); err != nil {
		return nil, errors.Join(err, w.epoll.Close())
	}
	go w.run()
	return w, nil
}

// Close stops the watcher's goroutine.
func (w *Watcher) Close() error { return w.epoll.Close() }

// Add registers a socket. The watcher's goroutine calls f for each event, so f must not block. An end that has happened
// already is reported too. The caller calls remove when it closes the socket.
func (w *Watcher) Add(socket syscall.Conn, f func(Event)) (remove func(), err error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.last++
	n := w.last
	w.funcs[n] = f
	w.mu.Unlock()
	remove = func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.funcs, n)
	}
	// Edge-triggered: an end is reported once. The kernel adds EPOLLHUP and EPOLLERR.
	event := unix.EpollEvent{Events: unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(n), Pad: int32(n >> 32)}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = w.control(func(epoll int) error {
			return unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, int(fd), &event)
		})
	})
	if err = errors.Join(err, failed); err != nil {
		remove()
		return nil, err
	}
	return remove, nil
}

// control calls f with the descriptor of the epoll instance.
func (w *Watcher) control(f func(epoll int) error) error {
	var failed error
	if err := w.raw.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
		return err
	}
	return os.NewSyscallError("epoll_ctl", failed)
}

// run calls the functions of sockets until Close.
func (w *Watcher) run() {
	events := make([]unix.EpollEvent, 128)
	for {
		n := 0
		err := w.raw.Read(func(fd uintptr) bool {
			var failed error
			n, failed = unix.EpollWait(int(fd), events, 0)
			return n > 0 && failed == nil
		})
		if err != nil {
			return // closed
		}
		for _, e := range events[:n] {
			w.dispatch(e)
		}
	}
}

// dispatch calls the function of an event's socket.
func (w *Watcher) dispatch(e unix.EpollEvent) {
	w.mu.Lock()
	f := w.funcs[uint64(uint32(e.Fd))|uint64(uint32(e.Pad))<<32]
	w.mu.Unlock()
	switch {
	case f == nil: // removed meanwhile
	case e.Events&(unix.EPOLLHUP|unix.EPOLLERR) != 0:
		f(Gone)
	default:
		f(HalfClosed)
	}
}
