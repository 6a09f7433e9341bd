package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/internal/systemd"
)

// manager is the service manager that hears how the host is; without one, nobody does.
type manager struct {
	systemd.Facts
	log  *slog.Logger
	left atomic.Bool // another process speaks for the service now
	once sync.Once   // a failure is logged once
}

// tell sends lines, unless another process speaks for the service now.
func (m *manager) tell(lines ...string) {
	if m.left.Load() {
		return
	}
	if err := systemd.Notify(m.Notify, lines...); err != nil {
		m.once.Do(func() { m.log.Warn("the service manager does not hear how this host is", "err", err) })
	}
}

// status is the short line that a service manager shows.
func status(h *host.Host) string {
	objects, tenants := h.Objects()
	line := fmt.Sprintf("STATUS=serving %s of %s on %s", plural(objects, "object"), plural(tenants, "tenant"), strings.Join(h.Addrs(), " "))
	if stalled := h.Status().AuditStalled; stalled > 0 {
		line += fmt.Sprintf("; a write of the audit log has not finished for %.0f s", stalled)
	}
	return line
}

// watch says twice in each interval of the watchdog that all is well, if the host answers on
// all its listeners. While serving is done it drains, which has its own bound and accepts
// nothing. watch ends with ctx.
func (m *manager) watch(ctx, serving context.Context, h *host.Host) {
	if m.Watchdog == 0 || m.Notify == "" {
		return
	}
	tick := time.NewTicker(m.Watchdog / 2)
	defer tick.Stop()
	for {
		if err := m.proof(ctx, serving, h); err != nil {
			m.log.Error("the host does not answer: the service manager is not told that all is well", "err", err)
		} else {
			m.tell("WATCHDOG=1", status(h))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (m *manager) proof(ctx, serving context.Context, h *host.Host) error {
	if serving.Err() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, m.Watchdog/4)
	defer cancel()
	err := h.Answers(ctx)
	if serving.Err() != nil || m.left.Load() { // it has stopped meanwhile
		return nil
	}
	return err
}
