package main

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/display"
	"github.com/hearthhost/hearth/internal/cli/policyflag"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// setting is one row of hearth config.
type setting struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Default string `json:"default,omitempty"`
	Source  string `json:"source"`
}

func newConfig(env *environment) *cobra.Command {
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
			rows := append(policySettings(p, from), logs...)
			if env.err != nil {
				return env.err
			}
			rows = append(rows, f.drainSetting(cmd), environmentSetting(*env))
			rows = append(rows, managerSettings(env.manager)...)
			rows = append(rows, setting{
				Name:   "threads that run the host",
				Value:  strconv.Itoa(hostThreads()),
				Source: "half of the processors, or of the CPU quota",
			})
			for _, l := range host.Limits() {
				rows = append(rows, setting{Name: l.Name, Value: l.Value, Source: "fixed"})
			}
			return printSettings(cmd.OutOrStdout(), rows, asJSON)
		},
	}
	f.Flags.Add(cmd)
	f.logFlags(cmd)
	f.drainFlag(cmd)
	cli.JSONFlag(cmd, &asJSON)
	return cmd
}

// logSettings sets flags of the log from the environment unless the command line sets them.
func logSettings(cmd *cobra.Command, f *serveFlags) ([]setting, error) {
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
	return []setting{
		{"log format", f.logFormat, defaultLogFormat, format},
		{"log level", f.logLevel, defaultLogLevel, level},
	}, nil
}

func environmentSetting(e environment) setting {
	s := setting{Name: "environment", Value: strings.Join(envNames, " "), Source: "fixed"}
	if e.ignored {
		s.Value, s.Source = "ignored", e.why
	}
	return s
}

// policySettings returns the rows of a policy with the source from.
func policySettings(p *policy.Policy, from string) []setting {
	source := func(name string) string {
		if where := p.Set[name]; where != "" {
			return where
		}
		return "default"
	}
	rows := []setting{
		{"policy", from, policyflag.DefaultFile, from},
		{"scripts", p.Scripts, "scripts", source("scripts")},
		{"plugins", p.Plugins, "plugins", source("plugins")},
		{"state", p.State, "state", source("state")},
	}
	rows[0].Source = "this command line"
	for _, l := range p.Listeners {
		where := l.Where
		if where == "" {
			where = "default"
		}
		name := "listener " + l.Name + " "
		rows = append(rows,
			setting{name + "address", l.Address, "", where},
			setting{name + "identify", strings.Join(l.Identify, " "), object.AuthPeer, where},
			setting{name + "plain", strconv.FormatBool(l.Plain), "where only this machine reaches", where})
		if l.TLS != nil {
			rows = append(rows,
				setting{name + "tls cert", l.TLS.Cert, "", where},
				setting{name + "tls key", l.TLS.Key, "", where},
				setting{name + "tls client_ca", strings.Join(l.TLS.ClientCA, " "), "", where},
				setting{name + "tls revoked", strings.Join(l.TLS.Revoked, " "), "", where},
				setting{name + "tls min_version", l.TLS.MinVersion, "1.3", where})
		}
	}
	tenants := make([]string, len(p.Tenants))
	for i, t := range p.Tenants {
		tenants[i] = string(t)
	}
	served := strings.Join(tenants, " ")
	if p.AllTenants {
		served = "every folder of scripts"
	}
	enrolment := "not allowed"
	if p.Enroll != nil {
		enrolment = "keys"
		if p.Enroll.CA != "" {
			enrolment += ", and certificates of " + p.Enroll.CA
		}
	}
	rows = append(rows,
		setting{"tenants", served, "", from},
		setting{"key files", strconv.Itoa(len(p.Keys)), "", from},
		setting{"enrolment", enrolment, "not allowed", source("enroll")},
		setting{"metrics address", cmp.Or(p.Admin.Address, "none"), "none", source("admin")},
		setting{"trace endpoint", cmp.Or(p.Trace.Endpoint, "none"), "none", source("trace")})
	rows = append(rows, auditSettings(p.Audit, source("audit"))...)
	return append(rows, allowMissingSettings(p, from)...)
}

func printSettings(w io.Writer, rows []setting, asJSON bool) error {
	if asJSON {
		return display.JSON(w, rows)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "SETTING\tVALUE\tDEFAULT\tFROM")
	for _, r := range rows {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", r.Name, r.Value, r.Default, r.Source)
	}
	return tw.Flush()
}
