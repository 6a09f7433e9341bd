package main

import (
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/settings"
	"github.com/hearthhost/hearth/internal/daemon"
	"github.com/hearthhost/hearth/internal/process"
)

func newConfig(env *process.Environment) *cobra.Command {
	var f serveFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show every setting of the host and its source",
		Long: `Show the settings of hearth serve with the same flags and environment: each setting, its value,
its default, and its source, which is a flag, the environment, a line of the policy or the
default; then the fixed limits. Principals and permits of the policy are shown as counts.`,
		Example: `  hearth config
  hearth config --policy /etc/hearth/policy.hcl --json`,
		Args: cli.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, from, err := f.Load()
			if err != nil {
				return err
			}
			logs, err := logSettings(cmd, &f)
			if err != nil {
				return err
			}
			rows := append(settings.OfPolicy(p, from), logs...)
			if env.Err != nil {
				return env.Err
			}
			rows = append(rows, f.drainSetting(cmd), settings.OfEnvironment(*env, envNames))
			rows = append(rows, settings.OfManager(env.Manager)...)
			rows = append(rows, settings.Setting{
				Name:   "threads that run the host",
				Value:  strconv.Itoa(daemon.Threads()),
				Source: "half of the processors, or of the CPU quota; at least 2",
			})
			for _, l := range host.Limits() {
				rows = append(rows, settings.Setting{Name: l.Name, Value: l.Value, Source: "fixed"})
			}
			return settings.Print(cmd.OutOrStdout(), rows, asJSON)
		},
	}
	f.Flags.Add(cmd)
	f.logFlags(cmd)
	f.drainFlag(cmd)
	cli.JSONFlag(cmd, &asJSON)
	return cmd
}

// logSettings sets flags of the log from the environment unless the command line sets them.
func logSettings(cmd *cobra.Command, f *serveFlags) ([]settings.Setting, error) {
	format, err := fromEnvironment(cmd, "log-format", envLogFormat)
	if err != nil {
		return nil, err
	}
	level, err := fromEnvironment(cmd, "log-level", envLogLevel)
	if err != nil {
		return nil, err
	}
	if _, err := f.logger(io.Discard); err != nil {
		return nil, err
	}
	return []settings.Setting{
		{Name: "log format", Value: f.logFormat, Default: defaultLogFormat, Source: format},
		{Name: "log level", Value: f.logLevel, Default: defaultLogLevel, Source: level},
	}, nil
}
