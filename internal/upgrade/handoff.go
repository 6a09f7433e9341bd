package upgrade

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/transport"
)

// Handoff holds the open files that a process starts with: from its parent, or from a service manager, which
// passes sockets only. The zero value holds none. The receiver owns the files.
type Handoff struct {
	Sockets []transport.Socket
	// ParentPID is the process that passed the files, 0 for a service manager. A service manager's sockets must
	// each belong to a listener. A parent's can be left over from an older policy.
	ParentPID int
	Audit     *os.File // audit log; nil if none is written
	Lock      *os.File // lock of the state folder, see [StateLock]
	// Connections is the child's end of a [Passage]; nil if the parent passes no connections.
	Connections *os.File
}

// PassConnections adds a passage to the handoff and returns the parent's end of it.
func (h *Handoff) PassConnections() (*Passage, error) {
	p, f, err := newPassage()
	if err == nil {
		h.Connections = f
	}
	return p, err
}

// Close closes all files.
func (h *Handoff) Close() {
	for _, s := range h.Sockets {
		s.File.Close()
	}
	for _, f := range []*os.File{h.Audit, h.Lock, h.Connections} {
		if f != nil {
			f.Close()
		}
	}
}

// Listener is a listener of the policy.
type Listener struct{ Name, Address string }

// Assign returns the socket of each listener, by the listener's name. A listener gets the socket with its name and
// address, otherwise one with its address: addresses come from the policy alone. Remaining sockets are closed;
// those of a service manager are an error. With an error all sockets are closed.
func (h *Handoff) Assign(listeners []Listener) (map[string]*transport.Socket, error) {
	assigned := map[string]*transport.Socket{}
	rest := slices.Clone(h.Sockets)
	assign := func(l *Listener, match func(*transport.Socket) bool) {
		if assigned[l.Name] != nil {
			return
		}
		i := slices.IndexFunc(rest, func(s transport.Socket) bool { return match(&s) })
		if i >= 0 {
			s := rest[i]
			assigned[l.Name] = &s
			rest = slices.Delete(rest, i, i+1)
		}
	}
	for i := range listeners {
		l := &listeners[i]
		assign(l, func(s *transport.Socket) bool { return s.Name == l.Name && s.Fits(l.Address) == nil })
	}
	for i := range listeners {
		l := &listeners[i]
		// With port 0 any port matches, so only the name identifies a parent's socket.
		if h.ParentPID != 0 && strings.HasSuffix(l.Address, ":0") {
			continue
		}
		assign(l, func(s *transport.Socket) bool { return s.Fits(l.Address) == nil })
	}
	var errs []error
	for i := range rest {
		s := &rest[i]
		if h.ParentPID == 0 {
			errs = append(errs, unassigned(s, listeners))
		}
		s.File.Close()
	}
	if err := errors.Join(errs...); err != nil {
		for _, s := range assigned {
			s.File.Close()
		}
		return nil, err
	}
	return assigned, nil
}

// unassigned returns the error for a service manager's socket without a listener.
func unassigned(s *transport.Socket, listeners []Listener) error {
	for _, l := range listeners {
		if l.Name == s.Name {
			return fmt.Errorf("%w; write the policy's address into the socket unit", s.Fits(l.Address))
		}
	}
	addr, err := s.Addr()
	if err != nil {
		return err
	}
	return fmt.Errorf("the inherited socket %q listens on %s, which is no listener of the policy; "+
		"remove it from the socket unit, or add a listener to the policy", s.Name, addr)
}
