package main

import (
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/systemd"
	"github.com/hearthhost/hearth/internal/upgrade"
)

// The environment sets only the log of hearth serve. Listeners, principals and permissions are set by the policy alone.
// The variables of a service manager are not settings: they describe open sockets and the manager's address.
const (
	envLogLevel  = "HEARTH_LOG_LEVEL"
	envLogFormat = "HEARTH_LOG_FORMAT"
)

var envNames = []string{envLogLevel, envLogFormat}

// environment holds the values that the command has read from its environment.
type environment struct {
	ignored bool   // true if no value was read
	why     string // reason for ignored

	handoff string              // value of upgrade.EnvFD
	manager systemd.Environment // settings of a service manager; empty if ignored
	err     error               // error of reading manager
}

// closeEnvironment reads the environment and removes all variables with noEnv, or in a process with more rights than
// its parent. It always removes the variables of descriptors and of the service manager: they are for this process,
// and no child process may use them.
func closeEnvironment(noEnv bool) environment {
	e := environment{handoff: os.Getenv(upgrade.EnvFD)} //nolint:forbidigo // its peer is checked
	_ = os.Unsetenv(upgrade.EnvFD)
	e.manager, e.err = systemd.Take()
	switch {
	case privileged():
		e.why = "the process has more rights than its parent"
	case noEnv:
		e.why = "--no-env"
	default:
		// GODEBUG can weaken TLS and the checks of certificates.
		_ = os.Unsetenv("GODEBUG")
		// ZONEINFO can change time zones, on which conditions depend.
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

// managerSettings returns the rows of hearth config for a service manager's settings.
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

// fromEnvironment sets a flag from a variable unless the command line sets it. It returns the source of the value.
func fromEnvironment(cmd *cobra.Command, flag, name string) (source string, err error) {
	f := cmd.Flags().Lookup(flag)
	if f == nil || f.Changed {
		return "flag", nil
	}
	v := os.Getenv(name) //nolint:forbidigo // the only place
	if v == "" {
		return "default", nil
	}
	if err := f.Value.Set(v); err != nil {
		return "", cli.Usagef("%s: %w", name, err)
	}
	return "environment " + name, nil
}

// warnIgnored logs variables that look like settings and are ignored.
func warnIgnored(log *slog.Logger) {
	for _, kv := range os.Environ() { //nolint:forbidigo // only names are read
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "HEARTH_") && !slices.Contains(envNames, name) {
			log.Warn("variable ignored: the environment has no such setting",
				"name", name, "known", strings.Join(envNames, " "))
		}
	}
}
