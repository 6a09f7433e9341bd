package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/hearthhost/hearth/host"
)

// upgrader is the part of hearth serve that takes the place of another host and makes room
// for the next one. Two hosts at most exist at a time: who has a predecessor that still
// drains waits for its end before it starts a successor.
type upgrader struct {
	host    *host.Host
	log     *slog.Logger
	signals *signals
	manager *manager
	pre     *predecessor // nil: there is none
	drain   time.Duration
	running host.Running
	untold  bool // running could not be written down: loop tries again
}

// newUpgrader takes the signals from now on.
func newUpgrader(h *host.Host, log *slog.Logger, env environment, pre *predecessor, drain time.Duration) *upgrader {
	u := &upgrader{host: h, log: log, signals: takeSignals(), manager: &manager{Facts: env.manager, log: log}, pre: pre, drain: drain,
		running: host.Running{PID: os.Getpid(), Version: thisBuild().Version}}
	if pre != nil {
		u.manager.Facts = pre.manager()
		u.running.Upgrades = pre.was.Upgrades + 1
	}
	return u
}

// signals are those that a host hears.
type signals struct {
	ending  []os.Signal
	upgrade chan os.Signal // holds one: more of them at once mean the same
}

// takeSignals tells what SIGHUP means: at a terminal, that it is gone; ignored, as by nohup,
// nothing; otherwise what an operator says. SIGUSR2 means that in any case.
func takeSignals() *signals {
	s := &signals{ending: []os.Signal{os.Interrupt, syscall.SIGTERM}, upgrade: make(chan os.Signal, 1)}
	upgrade := []os.Signal{syscall.SIGUSR2}
	if !signal.Ignored(syscall.SIGHUP) {
		if tty, err := os.OpenFile("/dev/tty", os.O_RDONLY|syscall.O_NOCTTY, 0); err == nil {
			tty.Close()
			s.ending = append(s.ending, syscall.SIGHUP)
		} else {
			upgrade = append(upgrade, syscall.SIGHUP)
		}
	}
	signal.Notify(s.upgrade, upgrade...)
	return s
}

func (s *signals) stop() { signal.Stop(s.upgrade) }

// begin makes a host that listens the one that serves: the host before makes room, and who
// looks for the host finds this one.
func (u *upgrader) begin(ctx context.Context) error {
	if u.pre != nil {
		if err := u.pre.ready(ctx, u.host.Took()); err != nil {
			return err
		}
		u.host.Adopt()
	}
	if err := u.announce(); err != nil {
		if u.pre == nil {
			return err
		}
		u.log.Error("hearth upgrade does not find this host until this can be written", "err", err) // the one before has left
	}
	u.manager.tell("READY=1", status(u.host))
	return nil
}

// announceAgain is how long a host waits that could not write down that it runs.
const announceAgain = time.Second

// announce writes down which host runs.
func (u *upgrader) announce() error {
	err := u.host.Announce(u.running)
	u.untold = err != nil
	return err
}

// run does what there is to do beside serving, until serving is done. drain ends serving.
// ended waits for all of it.
func (u *upgrader) run(serving context.Context, drain func()) (ended func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(serving))
	var wg sync.WaitGroup
	stopping := context.AfterFunc(serving, func() {
		u.manager.tell("STOPPING=1", "STATUS=finishing what is under way")
		u.pre.bye()
	})
	wg.Go(func() { u.manager.watch(ctx, serving, u.host) })
	wg.Go(func() { u.loop(serving, drain) })
	if u.pre != nil {
		go func() { // ends with the host before, or with this process
			u.pre.await()
			u.host.Alone()
			u.log.Info("the host before this one has ended")
		}()
	}
	return func() {
		stopping()
		cancel()
		wg.Wait()
		if u.pre != nil {
			select {
			case <-u.pre.gone:
			case <-time.After(handoverPatience):
			}
		}
	}
}

// loop upgrades whenever a signal says so, until one attempt succeeds.
func (u *upgrader) loop(serving context.Context, drain func()) {
	for {
		var again <-chan time.Time
		if u.untold {
			again = time.After(announceAgain)
		}
		select {
		case <-serving.Done():
			return
		case <-again:
			if u.announce() == nil {
				u.log.Info("hearth upgrade finds this host again")
			}
			continue
		case <-u.signals.upgrade:
		}
		if !u.alone(serving) {
			return
		}
		s, err := u.upgrade(serving)
		if err == nil {
			go func() { // ends with the new host, or with this process
				if !s.outlive() {
					u.log.Error("the host that took over has ended; this one ends too")
				}
				drain()
			}()
			return
		}
		u.log.Error("not upgraded: this host goes on", "err", err)
		u.running.Upgrades++
		u.running.Failure = err.Error()
		if err := u.announce(); err != nil {
			u.log.Error("hearth upgrade does not hear of it until this can be written", "err", err)
		}
		u.manager.tell("READY=1", status(u.host))
	}
}

// alone waits until the host before this one has ended. It reports whether this one goes on
// serving.
func (u *upgrader) alone(serving context.Context) bool {
	if u.pre == nil {
		return true
	}
	select {
	case <-u.pre.gone:
		return true
	default:
	}
	u.log.Info("an upgrade waits until the host before this one has ended")
	select {
	case <-u.pre.gone:
		return true
	case <-serving.Done():
		return false
	}
}

// upgrade starts a new host and makes room for it. With an error nothing has changed.
func (u *upgrader) upgrade(ctx context.Context) (*successor, error) {
	if canUpgrade != nil {
		return nil, canUpgrade
	}
	if os.Getpid() == 1 {
		return nil, errors.New("this host is the first process of its container, which ends with it: start a new container instead")
	}
	if err := trustProgram(startedFrom); err != nil {
		return nil, err
	}
	u.log.Info("upgrading", "program", startedFrom)
	u.manager.tell("RELOADING=1", "STATUS=starting a new host", monotonic())
	in, err := u.host.Share()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	s, err := start(startedFrom, in, u.manager.Facts, u.running.Upgrades)
	if err != nil {
		u.host.Unshare()
		return nil, err
	}
	a, err := s.listens(ctx)
	if err == nil {
		// Before it goes, so that the service manager listens to its first word.
		u.manager.tell(fmt.Sprintf("MAINPID=%d", s.cmd.Process.Pid), "READY=1")
		if err = s.say(word{Go: true}); err != nil {
			u.manager.tell(fmt.Sprintf("MAINPID=%d", os.Getpid()))
		}
	}
	if err != nil {
		err = s.end(err)
		u.host.Unshare()
		return nil, err
	}
	u.manager.left.Store(true)
	u.log.Info("upgraded", "pid", s.cmd.Process.Pid, "version", a.Version)
	u.host.Retire(a.Took, u.drain)
	return s, nil
}
