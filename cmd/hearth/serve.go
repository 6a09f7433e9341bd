package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/host/folder"
	"github.com/hearthhost/hearth/internal/cgroup"
	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/display"
	"github.com/hearthhost/hearth/internal/cli/policyflag"
	"github.com/hearthhost/hearth/internal/cli/refusal"
	"github.com/hearthhost/hearth/internal/journal"
	"github.com/hearthhost/hearth/internal/safefile"
	"github.com/hearthhost/hearth/internal/shell"
	"github.com/hearthhost/hearth/internal/systemd"
	"github.com/hearthhost/hearth/internal/upgrade"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/policyfile"
	"github.com/hearthhost/hearth/transport"
)

const serveLong = `Serve the objects in the scripts folder until a signal ends the process.

The policy file defines listeners, principals and permissions. Without --policy it is
policy.hcl in the current directory. If that file does not exist, a built-in policy serves the
folder --dir on 127.0.0.1:7766 and a Unix socket, to the user who started the host only.

With --check nothing is served. It loads every script and checks the policy, hashes of plugins,
keys, secrets, dates of certificates, folders and the audit log, with the rights of this user.
The exit code is 1 if a host would not start, or would reject one of them. It can run beside a
host.

SIGINT and SIGTERM drain: the host accepts no new connections, finishes running calls, and ends
its workers. A second signal ends the process at once.

SIGHUP, or hearth upgrade, replaces this process by a new one: the program that now has the
path it was started from, with the same arguments. The new process takes over the listening
sockets; open connections continue in the old process for --drain at most. If the new process
does not become ready, the old one still serves and logs the reason. (For a host with a
terminal SIGHUP means that the terminal is gone, so it drains.)

A service manager can open the listeners of the policy (LISTEN_FDS), and receives the state of
the host (NOTIFY_SOCKET, WATCHDOG_USEC), by the protocols of systemd.`

// serveFlags are the flags of hearth serve.
type serveFlags struct {
	policyflag.Flags
	check     bool
	readyFile string
	prewarm   int
	logFormat string
	logLevel  string
	drain     time.Duration // time limit of open connections after an upgrade
}

func newServe(env *environment) *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve objects until a signal",
		Long:  serveLong,
		Example: `  hearth serve
  hearth serve --policy /etc/hearth/policy.hcl --log-format json
  hearth serve --check`,
		Args: cli.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.File != "" && cmd.Flags().Changed("dir") {
				return cli.Usagef("--dir is for the built-in policy only; %s sets its folders", f.File)
			}
			if _, err := logSettings(cmd, &f); err != nil {
				return err
			}
			if f.drain < 0 || f.drain > maxDrain {
				return cli.Usagef("--drain %s: use a duration from 0 to %s", f.drain, maxDrain)
			}
			if f.prewarm < 0 || f.prewarm > maxPrewarm {
				return cli.Usagef("--prewarm %d: use a number from 0 to %d", f.prewarm, maxPrewarm)
			}
			return f.serve(cmd.Context(), *env, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f.Flags.Add(cmd)
	f.logFlags(cmd)
	f.drainFlag(cmd)
	fl := cmd.Flags()
	fl.BoolVar(&f.check, "check", false,
		"check policy, scripts, plugins, keys, certificates, secrets, folders and audit log, then exit")
	fl.StringVar(&f.readyFile, "ready-file", "",
		"write the addresses to this file, one a line, when the host listens")
	fl.IntVar(&f.prewarm, "prewarm", defaultPrewarm,
		"number of prewarmed workers, which make a tenant's first call fast; some 4 MB each")
	return cmd
}

// Numbers of prewarmed workers. By default the first calls of two tenants at a time are fast.
const (
	defaultPrewarm = 2
	maxPrewarm     = 64
)

// Defaults of the log.
const (
	defaultLogFormat = "text"
	defaultLogLevel  = "info"
)

// logFlags adds the flags of the log.
func (f *serveFlags) logFlags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.logFormat, "log-format", defaultLogFormat, "format of the log on standard error: text or json")
	fl.StringVar(&f.logLevel, "log-level", defaultLogLevel, "lowest logged level: debug, info, warn or error")
}

// Limits of --drain.
const (
	defaultDrain = time.Minute
	maxDrain     = 24 * time.Hour
)

// drainFlag adds the flag --drain.
func (f *serveFlags) drainFlag(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&f.drain, "drain", defaultDrain,
		"time limit of open connections to the old process after an upgrade")
}

// drainSetting returns the row of hearth config for --drain.
func (f *serveFlags) drainSetting(cmd *cobra.Command) setting {
	source := "default"
	if cmd.Flags().Changed("drain") {
		source = "flag"
	}
	return setting{"drain", f.drain.String(), defaultDrain.String(), source}
}

// serve runs a host until a signal or the end of ctx.
func (f *serveFlags) serve(ctx context.Context, env environment, out, errOut io.Writer) (err error) {
	log, err := f.logger(errOut)
	if err != nil {
		return err
	}
	warnIgnored(log)
	parent, handoff, err := f.inherited(env)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			parent.Fail(display.Escape(cli.Unshield(err.Error())))
		}
	}()
	path, err := f.Path()
	if err != nil {
		return err
	}
	if err := folder.CheckPolicyFile(path); err != nil {
		return err
	}
	p, from, err := f.LoadFrom(path)
	if err != nil {
		return err
	}
	load := func() (*policy.Policy, error) {
		if err := folder.CheckPolicyFile(path); err != nil {
			return nil, err
		}
		return policyfile.Load(path, os.Getuid())
	}
	exe, err := workerProgram()
	if err != nil {
		return err
	}
	cfg := host.Config{
		Policy:     p,
		Log:        log,
		Worker:     []string{exe, workerVerb},
		Prewarm:    f.prewarm,
		Shim:       []string{exe, shimVerb},
		Version:    thisBuild().Version,
		PolicyFile: path,
		Load:       load,
		Inherited:  handoff,
	}
	if f.check {
		return printCheck(out, errOut, from, host.Check(ctx, cfg))
	}
	h, err := host.New(cfg)
	if err != nil {
		if strings.HasPrefix(err.Error(), from) { // it has the position in the file
			return err
		}
		return fmt.Errorf("%s: %w", from, err)
	}
	signals := upgrade.NotifySignals()
	defer signals.Stop()
	up := upgrade.New(upgrade.Config{
		Server:   h,
		Parent:   parent,
		Signals:  signals,
		Notifier: notifier(env, parent, log),
		Status:   func() string { return statusLine(h) },
		Log:      log,
		Version:  thisBuild().Version,
		Program:  programPath,
		Args:     os.Args,
		Drain:    f.drain,
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
	if f.readyFile != "" {
		if err := safefile.Replace(f.readyFile, []byte(strings.Join(h.Addrs(), "\n")+"\n"), 0o644); err != nil {
			h.Close()
			return fmt.Errorf("writing the ready file: %w", err)
		}
	}
	if err := up.Begin(ctx); err != nil {
		h.Close()
		return err
	}
	// The workers use the other half of the machine. On few cores the host is also faster with fewer threads: a reply
	// then wakes no further thread.
	runtime.GOMAXPROCS(hostThreads())
	greet(out, from, p.Listeners, h.Addrs())
	wait := up.Run(serving, drain)
	err = h.Serve(serving)
	drain()
	wait()
	return err
}

// hostThreads returns the number of threads that run Go code at a time: half of the processors.
func hostThreads() int { return max(1, cgroup.Processors()/2) }

// printCheck prints the faults of a check. It returns an error unless all are notes.
func printCheck(out, errOut io.Writer, from string, found []host.Refusal) error {
	for _, r := range found {
		fmt.Fprintln(errOut, refusal.Line(r, r.Path))
	}
	if wrong := refusal.Faults(found); wrong > 0 {
		return fmt.Errorf("%s: %s found", from, display.Plural(wrong, "fault"))
	}
	fmt.Fprintf(out, "%s: ok\n", from)
	return nil
}

// inherited returns the open files of the process that this one replaces, or of a service manager. parent is nil
// without such a process.
func (f *serveFlags) inherited(env environment) (parent *upgrade.Parent, handoff upgrade.Handoff, err error) {
	if env.err != nil {
		return nil, handoff, env.err
	}
	if env.handoff != "" {
		return upgrade.Accept(env.handoff)
	}
	for _, s := range env.manager.Sockets {
		handoff.Sockets = append(handoff.Sockets, transport.Socket{Name: s.Name, File: s.File, Keep: true})
	}
	return nil, handoff, nil
}

// notifier returns the connection to the service manager, whose settings a parent passes on.
func notifier(env environment, parent *upgrade.Parent, log *slog.Logger) *systemd.Notifier {
	if parent != nil {
		return systemd.NewNotifier(parent.Environment(), log)
	}
	return systemd.NewNotifier(env.manager, log)
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

// logger returns the log for the flags.
func (f *serveFlags) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return nil, cli.Usagef("--log-level %s: use debug, info, warn or error", f.logLevel)
	}
	opts := slog.HandlerOptions{Level: level}
	var handler func(io.Writer, *slog.HandlerOptions) slog.Handler
	switch f.logFormat {
	case "text":
		handler = func(w io.Writer, o *slog.HandlerOptions) slog.Handler { return slog.NewTextHandler(w, o) }
	case "json":
		handler = func(w io.Writer, o *slog.HandlerOptions) slog.Handler { return slog.NewJSONHandler(w, o) }
	default:
		return nil, cli.Usagef("--log-format %s: use text or json", f.logFormat)
	}
	if below := display.Unwrap(w); journal.Connected(below) {
		return slog.New(journal.NewHandler(below, opts, handler)), nil
	}
	return slog.New(handler(w, &opts)), nil
}

// explainListen adds a remedy to the usual errors of listening.
func explainListen(err error) error {
	var listen *host.ListenError
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && errors.As(err, &listen):
		return fmt.Errorf("%w\nanother program has this address: hearth ping --at %s shows whether it is a host; "+
			"or use another address in %s", err, shell.Quote(reachable(listen.Address)), policyflag.DefaultFile)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w\nthis user cannot listen there: "+
			"ports below 1024 and folders of other users need more rights", err)
	}
	return err
}

// reachable returns the address by which this machine reaches a listener.
func reachable(address string) string {
	at, err := netip.ParseAddrPort(address)
	switch {
	case err != nil || !at.Addr().IsUnspecified():
		return address
	case at.Addr().Is4():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port()).String()
	}
	return netip.AddrPortFrom(netip.IPv6Loopback(), at.Port()).String()
}

// greet prints the policy, and each address with a command that calls it.
func greet(w io.Writer, from string, listeners []policy.Listener, addrs []string) {
	fmt.Fprintf(w, "serving under %s\n", from)
	for i, a := range addrs {
		fmt.Fprintf(w, "listening on %s%s\n", a, callHere(&listeners[i], a))
	}
}

// callHere returns a command that calls a listener from this machine, "" if none can.
func callHere(l *policy.Listener, addr string) string {
	at, err := netip.ParseAddrPort(addr)
	local := err != nil || at.Addr().IsLoopback()
	if local && l.Plain && slices.Contains(l.Identify, object.AuthPeer) {
		return ": hearth ls --at " + shell.Quote(addr)
	}
	var proofs []string
	if slices.Contains(l.Identify, object.AuthHMAC) {
		proofs = append(proofs, "a key")
	}
	if slices.Contains(l.Identify, object.AuthCert) {
		proofs = append(proofs, "a certificate")
	}
	if proofs == nil {
		return ""
	}
	return ", with " + strings.Join(proofs, " or ") + ": hearth ls --profile FILE"
}
