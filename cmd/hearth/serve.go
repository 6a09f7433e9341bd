package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/host/dryrun"
	"github.com/hearthhost/hearth/host/fault"
	"github.com/hearthhost/hearth/host/folder"
	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/display"
	"github.com/hearthhost/hearth/internal/cli/policyflag"
	"github.com/hearthhost/hearth/internal/cli/refusal"
	"github.com/hearthhost/hearth/internal/cli/settings"
	"github.com/hearthhost/hearth/internal/daemon"
	"github.com/hearthhost/hearth/internal/journal"
	"github.com/hearthhost/hearth/internal/process"
	"github.com/hearthhost/hearth/internal/upgrade"
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
sockets and the open connections; those that need the old process continue there for --drain
at most. If the new process does not become ready, the old one still serves and logs the
reason. (For a host with a terminal SIGHUP means that the terminal is gone, so it drains.)

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

func newServe(env *process.Environment) *cobra.Command {
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
		"number of prewarmed workers, which make a tenant's first call fast; some 2 MB each")
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
		"time limit of connections that need the old process after an upgrade")
}

// drainSetting returns the row of hearth config for --drain.
func (f *serveFlags) drainSetting(cmd *cobra.Command) settings.Setting {
	s := settings.Setting{
		Name:    "drain",
		Value:   f.drain.String(),
		Default: defaultDrain.String(),
		Source:  "default",
	}
	if cmd.Flags().Changed("drain") {
		s.Source = "flag"
	}
	return s
}

// serve runs a host until a signal or the end of ctx.
func (f *serveFlags) serve(ctx context.Context, env process.Environment, out, errOut io.Writer) (err error) {
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
	worker, err := workerCommand(func(err error) {
		log.Warn("workers run this program instead of the smaller embedded one: they take more memory", "err", err)
	})
	if err != nil {
		return err
	}
	exe, err := process.Self()
	if err != nil {
		return err
	}
	cfg := host.Config{
		Policy:     p,
		Log:        log,
		Worker:     worker,
		Prewarm:    f.prewarm,
		Shim:       []string{exe, shimVerb},
		Version:    thisBuild().Version,
		PolicyFile: path,
		Load:       load,
		Inherited:  handoff,
	}
	if f.check {
		check := dryrun.Config{Policy: p, PolicyFile: path, Worker: cfg.Worker}
		return printCheck(out, errOut, from, dryrun.Check(ctx, check))
	}
	return daemon.Run(ctx, daemon.Config{
		Host:      cfg,
		Source:    from,
		Parent:    parent,
		Manager:   env.Manager,
		Program:   programPath,
		Args:      os.Args,
		ReadyFile: f.readyFile,
		Drain:     f.drain,
		Out:       out,
	})
}

// printCheck prints the faults of a check. It returns an error unless all are notes.
func printCheck(out, errOut io.Writer, from string, found []fault.Refusal) error {
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
func (f *serveFlags) inherited(env process.Environment) (parent *upgrade.Parent, handoff upgrade.Handoff, err error) {
	if env.Err != nil {
		return nil, handoff, env.Err
	}
	if env.Handoff != "" {
		return upgrade.Accept(env.Handoff)
	}
	for _, s := range env.Manager.Sockets {
		handoff.Sockets = append(handoff.Sockets, transport.Socket{Name: s.Name, File: s.File, Keep: true})
	}
	return nil, handoff, nil
}

// logger returns the log for the flags.
func (f *serveFlags) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return nil, cli.Usagef("--log-level %s: use debug, info, warn or error", f.logLevel)
	}
	opts := slog.HandlerOptions{Level: level}
	var handler journal.Format
	switch f.logFormat {
	case "text":
		handler = func(w io.Writer, o *slog.HandlerOptions) slog.Handler { return slog.NewTextHandler(w, o) }
	case "json":
		handler = func(w io.Writer, o *slog.HandlerOptions) slog.Handler { return slog.NewJSONHandler(w, o) }
	default:
		return nil, cli.Usagef("--log-format %s: use text or json", f.logFormat)
	}
	return journal.NewLogger(display.Unwrap(w), w, opts, handler), nil
}
