package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/transport"
)

// Inheritance is what a host was given instead of making it: by a service manager, which has
// sockets only, or by the host whose place it takes. The host owns the files.
type Inheritance struct {
	Sockets []transport.Socket
	// Predecessor is the process of the host before, 0 if a service manager gave the sockets.
	// A manager's sockets must each be a listener of the policy; a predecessor's may have
	// been, under another policy.
	Predecessor int
	Audit       *os.File // its audit log; nil: it writes none
	Lock        *os.File // its lock of the state folder
}

// take hands the sockets out to the policy's listeners: each gets the one that has its name
// and its address, or else the one that has its address. What is left over is closed, and an
// error unless a predecessor gave it. So is a name with another address: addresses come from
// the policy alone.
func (in *Inheritance) take(listeners []policy.Listener) (map[string]*transport.Socket, error) {
	taken := map[string]*transport.Socket{}
	left := slices.Clone(in.Sockets)
	pick := func(l *policy.Listener, fits func(*transport.Socket) bool) {
		i := slices.IndexFunc(left, func(s transport.Socket) bool { return taken[l.Name] == nil && fits(&s) })
		if i >= 0 {
			s := left[i]
			taken[l.Name] = &s
			left = slices.Delete(left, i, i+1)
		}
	}
	for i := range listeners {
		l := &listeners[i]
		pick(l, func(s *transport.Socket) bool { return s.Name == l.Name && s.Fits(l.Address) == nil })
	}
	for i := range listeners {
		l := &listeners[i]
		anyPort := strings.HasSuffix(l.Address, ":0") // which of several it is, the name alone tells
		pick(l, func(s *transport.Socket) bool {
			return s.Fits(l.Address) == nil && !(anyPort && in.Predecessor != 0)
		})
	}
	var errs []error
	for i := range left {
		s := &left[i]
		if in.Predecessor == 0 {
			errs = append(errs, misfit(s, listeners))
		}
		s.File.Close()
	}
	if err := errors.Join(errs...); err != nil {
		for _, s := range taken {
			s.File.Close()
		}
		return nil, err
	}
	return taken, nil
}

// misfit says what is wrong with a socket that no listener takes.
func misfit(s *transport.Socket, listeners []policy.Listener) error {
	for _, l := range listeners {
		if l.Name == s.Name {
			return fmt.Errorf("%w: write the policy's address into the socket unit", s.Fits(l.Address))
		}
	}
	at, err := s.Addr()
	if err != nil {
		return err
	}
	return fmt.Errorf("the inherited socket %q listens on %s, and no listener of the policy does: take it out of the socket unit, or give the policy such a listener", s.Name, at)
}

// Share prepares what a successor takes over, under the names of the policy's listeners. From
// now on the audit log is written in turns, until Unshare. The caller closes the files.
func (h *Host) Share() (*Inheritance, error) {
	in := &Inheritance{Predecessor: os.Getpid()}
	err := h.share(in)
	if err != nil {
		in.Close()
		h.Unshare()
		return nil, err
	}
	return in, nil
}

func (h *Host) share(in *Inheritance) error {
	for i, l := range h.listeners {
		s, err := l.Share(h.cfg.Policy.Listeners[i].Name)
		if err != nil {
			return err
		}
		in.Sockets = append(in.Sockets, s)
	}
	var err error
	if in.Lock, err = h.lock.share(); err != nil {
		return err
	}
	if h.audit != nil {
		in.Audit, err = h.audit.Share()
	}
	return err
}

// Close closes the files.
func (in *Inheritance) Close() {
	for _, s := range in.Sockets {
		s.File.Close()
	}
	for _, f := range []*os.File{in.Audit, in.Lock} {
		if f != nil {
			f.Close()
		}
	}
}

// Unshare takes Share back: the successor has ended.
func (h *Host) Unshare() {
	if h.audit != nil {
		h.audit.Alone()
	}
}

// Took returns the names of the listeners whose sockets were given.
func (h *Host) Took() []string { return h.took }

// Adopt makes the host the owner of what it was given: its predecessor accepts no more.
// Until then, ending leaves everything as it was.
func (h *Host) Adopt() {
	for _, l := range h.listeners {
		l.Adopt()
	}
}

// Alone tells the host that its predecessor has ended.
func (h *Host) Alone() { h.Unshare() }

// Close ends a host that listens and is not to serve.
func (h *Host) Close() {
	h.closeListeners()
	h.closeAudit()
	h.lock.release(false)
}

// retirement is how a host makes room for its successor.
type retirement struct {
	taken    []string // the listeners that the successor goes on with
	patience time.Duration
}

// Retire ends Serve in favour of a successor: the host accepts no more, and leaves the
// listeners of these names to it. Connections go on until they end, for patience at most;
// then the host drains. The end of Serve's context cuts patience short.
func (h *Host) Retire(taken []string, patience time.Duration) {
	select {
	case h.retired <- retirement{taken, patience}:
	default: // it does already
	}
}

// goOn is the time between a host's retirement and its drain.
func (h *Host) goOn(ctx context.Context, r retirement) {
	for i, l := range h.listeners {
		end := l.Close
		if slices.Contains(r.taken, h.cfg.Policy.Listeners[i].Name) {
			end = l.Leave
		}
		if err := end(); err != nil && !errors.Is(err, net.ErrClosed) {
			h.log.Warn("closing a listener", "err", err)
		}
	}
	h.lock.left.Store(true)
	h.mu.Lock()
	open := len(h.conns)
	h.mu.Unlock()
	h.log.Info("another host has taken over: what is connected here goes on", "connections", open, "at_most", r.patience)
	done := make(chan struct{})
	go func() { h.serving.Wait(); close(done) }() // ends with the last connection, which drain waits for
	// A policy that was refused for what an upgrade is needed for counts here from now on.
	looking, stop := context.WithCancel(ctx)
	defer stop()
	go func() { _ = h.Reload(looking) }() // what is wrong is in the log
	timer := time.NewTimer(r.patience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	case <-ctx.Done():
	}
}
