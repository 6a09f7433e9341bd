package host

import (
	"errors"
	"log/slog"

	"github.com/hearthhost/hearth/gateway/pyro"
	"github.com/hearthhost/hearth/internal/logqueue"
	"github.com/hearthhost/hearth/internal/loop"
)

// noLoops is for tests: all connections keep their goroutines, as on systems without loops.
var noLoops bool

// startLoops starts the event loops of a host; none where they are unsupported.
func (h *Host) startLoops() error {
	if noLoops {
		return nil
	}
	l, err := loop.New()
	switch {
	case errors.Is(err, loop.ErrUnsupported):
		return nil
	case err != nil:
		return err
	}
	h.loops = []*loop.Loop{l}
	h.parkers = []*pyro.Loop{pyro.NewLoop(l)}
	h.lines = logqueue.New()
	go l.Run() // ends with closeLoops
	return nil
}

// workerLog returns the logger of workers. Their lines are logged in a loop, which must not wait for the output.
func (h *Host) workerLog() *slog.Logger {
	if h.lines == nil {
		return h.log
	}
	return h.lines.Logger(h.log)
}

// loop returns the loop of a tenant's worker, nil without loops.
func (h *Host) loop() *loop.Loop {
	if len(h.loops) == 0 {
		return nil
	}
	return h.loops[0]
}

// closeLoops ends the loops, after all connections and workers.
func (h *Host) closeLoops() {
	for _, l := range h.loops {
		l.Close()
	}
	if h.lines != nil {
		h.lines.Close()
	}
}
