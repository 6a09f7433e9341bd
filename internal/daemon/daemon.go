// Package daemon runs a host as a process: signals, drain, upgrade, service manager and ready file.
//
// [Run] composes package host, which serves, with internal/upgrade, which replaces the process, and internal/systemd,
// which reports to a service manager. The order matters: first the host listens, then the ready file is written, and
// then the parent of an upgrade and the service manager receive the result. The first signal drains: running calls
// finish. A second one ends the process at once.
//
// The package parses no flag and reads no variable of the environment. The caller loads the policy and passes the open
// files of a parent or of a service manager in [Config].
package daemon

import (
	"context"
	"fmt"
	"io"
	"log"
	"os/signal"
	"runtime"
	"strings"
	"time"

	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/internal/cgroup"
	"github.com/hearthhost/hearth/internal/cli/display"
	"github.com/hearthhost/hearth/internal/safefile"
	"github.com/hearthhost/hearth/internal/systemd"
	"github.com/hearthhost/hearth/internal/upgrade"
)

// Config describes the process of a host.
type Config struct {
	Host      host.Config
	Source    string              // source of the policy, for messages
	Parent    *upgrade.Parent     // process that this one replaces, or nil
	Manager   systemd.Environment // settings of the service manager
	Program   string              // path that an upgrade starts
	Args      []string            // command line of this process
	ReadyFile string              // file for the addresses, "" for none
	Drain     time.Duration       // time limit of open connections after an upgrade
	Out       io.Writer           // receives the addresses when the host listens
}

// policyFile is the usual name of a policy file, for hints.
const policyFile = "policy.hcl"

// Run serves until a signal or the end of ctx. It returns when running calls have finished.
func Run(ctx context.Context, cfg Config) error {
	// Texts of net/http on the standard logger can have bytes of a server, and so a credential that it returns. The
	// host has its own loggers.
	log.SetOutput(io.Discard)
	h, err := host.New(cfg.Host)
	if err != nil {
		if strings.HasPrefix(err.Error(), cfg.Source) { // it has the position in the file
			return err
		}
		return fmt.Errorf("%s: %w", cfg.Source, err)
	}
	signals := upgrade.NotifySignals()
	defer signals.Stop()
	up := upgrade.New(upgrade.Config{
		Server:   h,
		Parent:   cfg.Parent,
		Signals:  signals,
		Notifier: notifier(&cfg),
		Status:   func() string { return statusLine(h) },
		Log:      cfg.Host.Log,
		Version:  cfg.Host.Version,
		Program:  cfg.Program,
		Args:     cfg.Args,
		Drain:    cfg.Drain,
	})
	ctx, stop := signal.NotifyContext(ctx, signals.Shutdown...)
	defer stop()
	// After the first signal the handler is removed, so that a second one ends the process at once. The host drains
	// only after that.
	serving, drain := context.WithCancel(context.WithoutCancel(ctx))
	defer drain()
	context.AfterFunc(ctx, func() { stop(); drain() })
	if err := h.Listen(ctx); err != nil {
		return explainListen(err)
	}
	if cfg.ReadyFile != "" {
		if err := safefile.Replace(cfg.ReadyFile, []byte(strings.Join(h.Addrs(), "\n")+"\n"), 0o644); err != nil {
			h.Close()
			return fmt.Errorf("writing the ready file: %w", err)
		}
	}
	if err := up.Begin(ctx); err != nil {
		h.Close()
		return err
	}
	// The workers use the other half of the machine.
	runtime.GOMAXPROCS(Threads())
	greet(cfg.Out, cfg.Source, cfg.Host.Policy.Listeners, h.Addrs())
	wait := up.Run(serving, drain)
	err = h.Serve(serving)
	drain()
	wait()
	return err
}

// Threads returns the number of threads that run Go code at a time: half of the processors, at least 2. While the event
// loop waits in a system call, the runtime's monitor passes its place to another thread after 20 µs, unless another
// place is free. With one place each wait would end in another thread. A loop that polls would stop all goroutines.
func Threads() int { return max(2, cgroup.Processors()/2) }

// notifier returns the connection to the service manager, whose settings a parent passes on.
func notifier(cfg *Config) *systemd.Notifier {
	if cfg.Parent != nil {
		return systemd.NewNotifier(cfg.Parent.Environment(), cfg.Host.Log)
	}
	return systemd.NewNotifier(cfg.Manager, cfg.Host.Log)
}

// statusLine returns the line that a service manager shows for the host.
func statusLine(h *host.Host) string {
	objects, tenants := h.Objects()
	line := fmt.Sprintf("STATUS=serving %s of %s on %s",
		display.Plural(objects, "object"), display.Plural(tenants, "tenant"),
		strings.Join(h.Addrs(), " "))
	if stalled := h.Status().AuditStalled; stalled > 0 {
		line += fmt.Sprintf("; a write of the audit log has not finished for %.0f s", stalled)
	}
	return line
}
