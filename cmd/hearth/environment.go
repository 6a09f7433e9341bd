package main

import (
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/internal/cli"
)

// The environment sets only the log of hearth serve. Listeners, principals and permissions are set by the policy alone.
// The variables of a service manager are not settings: they describe open sockets and the manager's address.
const (
	envLogLevel  = "HEARTH_LOG_LEVEL"
	envLogFormat = "HEARTH_LOG_FORMAT"
)

var envNames = []string{envLogLevel, envLogFormat}

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
