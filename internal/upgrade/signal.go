package upgrade

import (
	"os"
	"os/signal"
	"syscall"
)

// Signals are the signals of a server process.
type Signals struct {
	// Shutdown are the signals that end the process. The caller registers them.
	Shutdown []os.Signal
	upgrade  chan os.Signal // holds one: further requests are the same request
}

// NotifySignals registers the signals that request an upgrade: SIGUSR2 and SIGHUP. Of a process with a terminal
// SIGHUP means that the terminal is gone, so there it ends the process. An ignored SIGHUP, as under nohup, stays
// ignored.
func NotifySignals() *Signals {
	s := &Signals{Shutdown: []os.Signal{os.Interrupt, syscall.SIGTERM}, upgrade: make(chan os.Signal, 1)}
	upgrade := []os.Signal{syscall.SIGUSR2}
	if !signal.Ignored(syscall.SIGHUP) {
		if tty, err := os.OpenFile("/dev/tty", os.O_RDONLY|syscall.O_NOCTTY, 0); err == nil {
			tty.Close()
			s.Shutdown = append(s.Shutdown, syscall.SIGHUP)
		} else {
			upgrade = append(upgrade, syscall.SIGHUP)
		}
	}
	signal.Notify(s.upgrade, upgrade...)
	return s
}

// Stop unregisters the signals that request an upgrade.
func (s *Signals) Stop() { signal.Stop(s.upgrade) }
