package main

import (
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// The environment may set how hearth serve logs, and nothing else: where it listens, who
// somebody is and what he may do stand in the policy alone.
const (
	envLogLevel  = "HEARTH_LOG_LEVEL"
	envLogFormat = "HEARTH_LOG_FORMAT"
)

var envNames = []string{envLogLevel, envLogFormat}

// environment is what the command took of its environment.
type environment struct {
	ignored bool   // nothing
	why     string // it was ignored
}

// closeEnvironment forgets every variable if noEnv says so or the process has more rights
// than whoever started it.
func closeEnvironment(noEnv bool) environment {
	why := ""
	switch {
	case privileged():
		why = "the process has more rights than whoever started it"
	case noEnv:
		why = "--no-env"
	default:
		// Go's own switches can make TLS and certificates laxer.
		_ = os.Unsetenv("GODEBUG")
		// And time zones, of which conditions are.
		_ = os.Unsetenv("ZONEINFO")
		return environment{}
	}
	os.Clearenv()
	return environment{ignored: true, why: why}
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
