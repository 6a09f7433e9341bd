package loop

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hearthhost/hearth/internal/spin"
)

// maxEvents bounds the events of one round.
const maxEvents = 128

// Loop waits for sockets. Post and Close are safe for concurrent use; the other methods belong to its goroutine.
type Loop struct {
	ep   int
	wake int // an eventfd, readable after a post

	// EndRound, if not nil, is called at the end of each round. Set it before Run.
	EndRound func()
	// Busy, if not nil, reports whether an event is expected soon: the loop may poll for it before it sleeps. Set it
	// before Run.
	Busy func() bool

	// TakenOver, if not nil, is called when another goroutine takes the loop over during Block, before that goroutine
	// handles events. The state of the loop that the blocked function uses must then be replaced. Set it before Run.
	TakenOver func()

	sleeping atomic.Bool
	closed   atomic.Bool
	// owner names the goroutine that owns the loop: twice the number of take-overs before it, plus 1 while it is in
	// Block. One value, so that a goroutine that has lost the loop cannot take the Block of the next one for its own.
	owner    atomic.Uint64
	overtake *time.Timer   // calls takeOver
	patience time.Duration // time that a function may block the loop; tests change it
	done     chan struct{}

	mu     sync.Mutex // guards posted
	posted []func()

	spin    spin.Spin
	running []func()          // the posted functions of this round
	sources map[int32]*Source // by descriptor; guarded by sourcesMu
	events  [maxEvents]unix.EpollEvent
	lock    sync.Mutex // guards sources
	serial  int32
}

// Source is a descriptor that a loop watches.
type Source struct {
	loop    *Loop
	fd      int
	serial  int32 // distinguishes a descriptor from a closed one of the same number
	handler interface{ event(events uint32) }
}

// New returns a loop. The caller calls Run in a new goroutine.
func New() (*Loop, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(ep)
		return nil, os.NewSyscallError("eventfd", err)
	}
	l := &Loop{ep: ep, wake: wake, sources: map[int32]*Source{}, done: make(chan struct{}), patience: defaultPatience}
	l.overtake = time.AfterFunc(time.Hour, l.takeOver)
	l.overtake.Stop()
	if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, wake, &unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLET, Fd: -1,
	}); err != nil {
		_ = unix.Close(ep)
		_ = unix.Close(wake)
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	return l, nil
}

// Post runs f in the loop's goroutine, in this round or the next one. Functions run in the order of their posts. After
// Close they may not run.
func (l *Loop) Post(f func()) {
	l.mu.Lock()
	l.posted = append(l.posted, f)
	l.mu.Unlock()
	l.notify()
}

// notify wakes the goroutine if it sleeps.
func (l *Loop) notify() {
	if l.sleeping.CompareAndSwap(true, false) {
		one := [8]byte{1}
		_, _ = unix.Write(l.wake, one[:]) // a full counter wakes, too
	}
}

// Close ends Run and waits for its end, unless it was not called. Watched descriptors stay open.
func (l *Loop) Close() {
	if l.closed.Swap(true) {
		return
	}
	one := [8]byte{1}
	_, _ = unix.Write(l.wake, one[:])
	<-l.done
	_ = unix.Close(l.ep)
	_ = unix.Close(l.wake)
}

// Run handles events until Close.
func (l *Loop) Run() { l.run(0) }

// run is Run for a goroutine that owns the loop.
func (l *Loop) run(owner uint64) {
	for !l.closed.Load() {
		n := l.wait()
		for i := range n {
			l.dispatch(&l.events[i])
		}
		l.runPosted()
		if l.EndRound != nil {
			l.EndRound()
		}
		if l.owner.Load() != owner { // Block lost the loop
			return
		}
	}
	close(l.done)
}

// defaultPatience is the time that a function may block the loop.
const defaultPatience = 50 * time.Millisecond

// Block runs f, which may wait, for example for a disk. EndRound calls it as its last step. If f takes long, another
// goroutine takes the loop over. Block then returns false: the caller is not in the loop's goroutine any more. It may
// only post, and returns.
func (l *Loop) Block(f func()) (still bool) {
	owner := l.owner.Load()
	l.owner.Store(owner | blocked)
	l.overtake.Reset(l.patience)
	f()
	if !l.owner.CompareAndSwap(owner|blocked, owner) {
		return false // the timer is that of the next owner
	}
	l.overtake.Stop() // if takeOver is about to run, the next Block may lose the loop early, which is harmless
	return true
}

// blocked is the bit of owner that is set while the owner is in Block.
const blocked = 1

// takeOver continues the loop in another goroutine while one is in Block.
func (l *Loop) takeOver() {
	was := l.owner.Load()
	next := was&^blocked + 2
	if was&blocked == 0 || !l.owner.CompareAndSwap(was, next) {
		return
	}
	if l.TakenOver != nil {
		l.TakenOver()
	}
	go l.run(next) // ends with Close or the next takeOver
}

func (l *Loop) dispatch(e *unix.EpollEvent) {
	if e.Fd < 0 {
		var count [8]byte
		_, _ = unix.Read(l.wake, count[:])
		return
	}
	l.lock.Lock()
	s := l.sources[e.Fd]
	l.lock.Unlock()
	if s != nil && s.serial == e.Pad {
		s.handler.event(e.Events)
	}
}

func (l *Loop) runPosted() {
	l.mu.Lock()
	l.running, l.posted = l.posted, l.running[:0]
	l.mu.Unlock()
	for i, f := range l.running {
		f()
		l.running[i] = nil
	}
}

func (l *Loop) pending() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.posted) > 0
}

// wait returns the number of events. It returns at once if there are posted functions.
func (l *Loop) wait() int {
	if n := l.look(); n > 0 || l.pending() || l.closed.Load() {
		return n
	}
	busy := l.Busy != nil && l.Busy()
	if busy {
		for l.spin.Start(); l.spin.More(); {
			if n := l.look(); n > 0 || l.pending() {
				l.spin.Found()
				return n
			}
		}
	}
	l.sleeping.Store(true)
	defer l.sleeping.Store(false)
	if l.pending() || l.closed.Load() { // posted before sleeping was set
		return 0
	}
	n := l.sleep()
	if busy {
		l.spin.Slept()
	}
	return n
}

// look returns events that have come. The scheduler does not see the system call, which does not wait.
func (l *Loop) look() int {
	events := unsafe.Pointer(&l.events) //nolint:gosec // it has maxEvents elements
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(l.ep), uintptr(events), maxEvents, 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// sleep waits for events.
func (l *Loop) sleep() int {
	for {
		n, err := unix.EpollWait(l.ep, l.events[:], -1)
		if !errors.Is(err, unix.EINTR) {
			return max(n, 0)
		}
	}
}

// watch adds a descriptor. Events come once for each change.
func (l *Loop) watch(fd int, events uint32, h interface{ event(uint32) }) (*Source, error) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.serial++
	s := &Source{loop: l, fd: fd, serial: l.serial, handler: h}
	l.sources[int32(fd)] = s
	if err := unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{
		Events: events | unix.EPOLLET, Fd: int32(fd), Pad: s.serial,
	}); err != nil {
		delete(l.sources, int32(fd))
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	return s, nil
}

// remove ends the watching. Call it before the descriptor is closed.
func (s *Source) remove() {
	l := s.loop
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.sources[int32(s.fd)] == s {
		delete(l.sources, int32(s.fd))
		_ = unix.EpollCtl(l.ep, unix.EPOLL_CTL_DEL, s.fd, nil)
	}
}

// inputEvents are the events of a descriptor that is only read.
const inputEvents = unix.EPOLLIN | unix.EPOLLRDHUP

// endEvents are the events of the end of a stream.
const endEvents = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR

type readyHandler struct{ h Handler }

func (r readyHandler) event(events uint32) { r.h.Ready(events&endEvents != 0) }

// Watch calls the handler when a nonblocking descriptor is readable. stop ends that; call it before the descriptor is
// closed. The caller posts a first call of Ready if bytes may have come before.
func (l *Loop) Watch(fd int, h Handler) (stop func(), err error) {
	s, err := l.watch(fd, inputEvents, readyHandler{h})
	if err != nil {
		return nil, err
	}
	return s.remove, nil
}
