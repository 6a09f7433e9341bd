package host

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/hearthhost/hearth/internal/upgrade"
	"github.com/hearthhost/hearth/object"
)

// Host is the server that [upgrade.Upgrader] upgrades.
var _ upgrade.Server = (*Host)(nil)

// Handoff returns duplicates of the open files that a new host needs: its listening sockets under the names of the
// policy's listeners, the lock of the state folder and the audit log. From now on both hosts may write the audit
// log, until EndHandoff. The caller closes the handoff.
func (h *Host) Handoff() (*upgrade.Handoff, error) {
	out := &upgrade.Handoff{ParentPID: os.Getpid()}
	h.sharing.Store(true)
	var err error
	if h.passage, err = out.PassConnections(); err != nil {
		h.log.Warn("open connections are not passed to a new process", "err", err)
	}
	if err := h.duplicateFiles(out); err != nil {
		out.Close()
		h.EndHandoff()
		return nil, err
	}
	return out, nil
}

func (h *Host) duplicateFiles(out *upgrade.Handoff) error {
	for i, l := range h.listeners {
		s, err := l.Share(h.cfg.Policy.Listeners[i].Name)
		if err != nil {
			return err
		}
		out.Sockets = append(out.Sockets, s)
	}
	var err error
	if out.Lock, err = h.lock.Duplicate(); err != nil {
		return err
	}
	if h.audit != nil {
		out.Audit, err = h.audit.Share()
	}
	return err
}

// EndHandoff ends the sharing of the audit log: the new host, or the host that this one replaced, has ended.
func (h *Host) EndHandoff() {
	h.sharing.Store(false)
	h.passage.Close()
	h.passage = nil
	if h.audit != nil {
		h.audit.EndSharing()
	}
}

// InheritedListeners returns the names of the listeners that use an inherited socket.
func (h *Host) InheritedListeners() []string { return h.inherited }

// TakeOver makes the host the owner of its inherited socket files: the old host has stopped accepting. A host that
// ends before leaves them as they were.
func (h *Host) TakeOver() {
	for _, l := range h.listeners {
		l.Adopt()
	}
}

// Announce writes the description of this host into the state folder.
func (h *Host) Announce(r upgrade.Running) error { return h.lock.Announce(r) }

// Close ends a host after Listen that must not serve.
func (h *Host) Close() {
	h.closeListeners()
	h.closeAudit()
	h.closeLoops()
	h.lock.Release(false)
}

// retirement is a request to make room for a new host.
type retirement struct {
	listeners []string         // listeners that the new host serves on
	passage   *upgrade.Passage // passes connections to it; nil: it takes none
	drain     time.Duration    // time limit of open connections
}

// Retire ends Serve in favour of a new host. The host stops accepting and leaves listeners and connections to the new
// host. Connections that it keeps continue for drain at most, or until the context of Serve ends; then the host drains.
func (h *Host) Retire(to upgrade.Successor, drain time.Duration) {
	r := retirement{listeners: to.Listeners, drain: drain}
	if to.Connections {
		r.passage = h.passage
	}
	select {
	case h.retired <- r:
	default: // it retires already
	}
}

// retire waits for open connections between the end of accepting and the drain.
func (h *Host) retire(ctx context.Context, r retirement) {
	h.web.Retire(r.drain)
	for i, l := range h.listeners {
		end := l.Close
		if slices.Contains(r.listeners, h.cfg.Policy.Listeners[i].Name) {
			end = l.Leave
		}
		if err := end(); err != nil && !errors.Is(err, net.ErrClosed) {
			h.log.Warn("closing a listener", "err", err)
		}
	}
	h.lock.HandOver()
	open, _, _ := h.pyro.Connections()
	http, _ := h.web.Connections()
	h.log.Info("a new process accepts connections", "open_connections", open+http, "passed", r.passage != nil,
		"at_most", r.drain)
	done := h.gatewaysDone()
	// The policy file may have changes that only a new process can apply. The rest of it applies here from now on.
	reloading, stop := context.WithCancel(ctx)
	defer stop()
	go func() { _ = h.Reload(reloading) }() // errors are in the log
	passes := r.passage != nil
	if passes {
		h.pyro.Pass(r.listeners, r.passage.Send)
	}
	yielding, stopYielding := context.WithCancel(context.WithoutCancel(ctx))
	h.yielding = stopYielding // the drain ends it after the last call
	requested := make(chan struct{})
	request := sync.OnceFunc(func() { close(requested) })
	go h.store.Retire(yielding, storePatience, h.storeIdle, func(object.Tenant) { request() })
	timer := time.NewTimer(r.drain)
	defer timer.Stop()
	for {
		select {
		case <-requested: // calls here could not use that store any longer
			h.log.Info("connections that were not passed end: the new process requests durable state")
			if passes {
				h.pyro.EndStaying()
				requested = nil
				continue
			}
		case <-done:
		case <-timer.C:
		case <-ctx.Done():
		}
		return
	}
}

// inheritPassage opens the passage of connections of the old host; nil if it passes none.
func (h *Host) inheritPassage() *upgrade.Passage {
	f := h.cfg.Inherited.Connections
	if f == nil {
		return nil
	}
	p, err := upgrade.OpenPassage(f)
	if err != nil {
		h.log.Error("the connections of the old process stay there", "err", err)
	}
	return p
}

// takeConnections serves the connections that the old host passes, until it ends.
func (h *Host) takeConnections(p *upgrade.Passage) {
	for {
		description, f, err := p.Receive()
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			h.log.Error("a connection of the old process is lost", "err", err)
		default:
			h.pyro.Take(description, f, h.transportListener)
		}
	}
}
