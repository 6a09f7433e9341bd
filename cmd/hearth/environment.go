package main

import (
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/internal/systemd"
	"github.com/hearthhost/hearth/internal/upgrade"
)

// The environment may set how hearth serve logs, and nothing else: where it listens, who
// somebody is and what he may do stand in the policy alone. What a service manager says in
// variables are no settings but facts: that sockets are open already, and whom to tell.
const (
	envLogLevel  = "HEARTH_LOG_LEVEL"
	envLogFormat = "HEARTH_LOG_FORMAT"
)

var envNames = []string{envLogLevel, envLogFormat}

// environment is what the command took of its environment.
type environment struct {
	ignored bool   // nothing
	why     string // it was ignored

	handoff string              // value of upgrade.EnvFD
	manager systemd.Environment // what a service manager handed to the process; nothing if it is ignored
	err     error               // why that cannot be read
}

// closeEnvironment forgets every variable if noEnv says so or the process has more rights
// than whoever started it. Those that tell of descriptors and of the service manager are
// taken out in any case: they are about this process, and no program that it starts may
// take them for its own.
func closeEnvironment(noEnv bool) environment {
	e := environment{handoff: os.Getenv(upgrade.EnvFD)} //nolint:forbidigo // checked against the kernel, so --no-env keeps it
	_ = os.Unsetenv(upgrade.EnvFD)
	e.manager, e.err = systemd.Take()
	switch {
	case privileged():
		e.why = "the process has more rights than whoever started it"
	case noEnv:
		e.why = "--no-env"
	default:
		// Go's own switches can make TLS and certificates laxer.
		_ = os.Unsetenv("GODEBUG")
		// And time zones, of which conditions are.
		_ = os.Unsetenv("ZONEINFO")
		return e
	}
	os.Clearenv()
	for _, s := range e.manager.Sockets {
		s.File.Close()
	}
	e.ignored, e.manager, e.err = true, systemd.Environment{}, nil
	return e
}

// managerSettings shows what a service manager handed to the process.
func managerSettings(m systemd.Environment) []setting {
	row := func(name, value, variable string) setting {
		if value == "" {
			return setting{name, "none", "none", "default"}
		}
		return setting{name, value, "none", "environment " + variable}
	}
	var sockets []string
	for _, s := range m.Sockets {
		sockets = append(sockets, strconv.Quote(s.Name))
	}
	watchdog := ""
	if m.Watchdog != 0 {
		watchdog = m.Watchdog.String()
	}
	return []setting{
		row("inherited sockets", strings.Join(sockets, " "), "LISTEN_FDS"),
		row("service manager", m.Notify, "NOTIFY_SOCKET"),
		row("watchdog", watchdog, "WATCHDOG_USEC"),
	}
}

// fromEnvironment sets a flag that was not given from a variable, and returns where the
// flag's value comes from.
func fromEnvironment(cmd *cobra.Command, flag, name string) (source string, err error) {
	f := cmd.Flags().Lookup(flag)
	if f == nil || f.Changed {
		return "flag", nil
	}
	v := os.Getenv(name) //nolint:forbidigo // the one place
	if v == "" {
		return "default", nil
	}
	if err := f.Value.Set(v); err != nil {
		return "", usagef("%s: %w", name, err)
	}
	return "environment " + name, nil
}

// warnIgnored names the variables that look as if they set something.
func warnIgnored(log *slog.Logger) {
	for _, kv := range os.Environ() { //nolint:forbidigo // to say what is ignored
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "HEARTH_") && !slices.Contains(envNames, name) {
			log.Warn("variable ignored: the environment sets nothing of this name", "name", name, "known", strings.Join(envNames, " "))
		}
	}
}
