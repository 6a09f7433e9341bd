// Package settings lists the settings of a host as rows for hearth config: name, value, default and source.
//
// The source of a value is a flag, a variable of the environment, a line of the policy, or the default. The functions
// return the rows of the policy, of a service manager and of the environment; the command adds the rows of its flags.
// The rows contain no key and no secret. The package reads no file and no variable.
package settings

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/hearthhost/hearth/internal/cli/display"
	"github.com/hearthhost/hearth/internal/cli/policyflag"
	"github.com/hearthhost/hearth/internal/process"
	"github.com/hearthhost/hearth/internal/systemd"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// Setting is one row of hearth config.
type Setting struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Default string `json:"default,omitempty"`
	Source  string `json:"source"`
}

// OfPolicy returns the rows of a policy. from is the source of the policy.
func OfPolicy(p *policy.Policy, from string) []Setting {
	source := func(name string) string {
		if where := p.Set[name]; where != "" {
			return where
		}
		return "default"
	}
	rows := []Setting{
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
			Setting{name + "address", l.Address, "", where},
			Setting{name + "identify", strings.Join(l.Identify, " "), object.AuthPeer, where},
			Setting{name + "plain", strconv.FormatBool(l.Plain), "where only this machine reaches", where})
		if l.HTTP != nil {
			rows = append(rows, httpRows(name, l.HTTP, where)...)
		}
		if l.TLS != nil {
			rows = append(rows,
				Setting{name + "tls cert", l.TLS.Cert, "", where},
				Setting{name + "tls key", l.TLS.Key, "", where},
				Setting{name + "tls client_ca", strings.Join(l.TLS.ClientCA, " "), "", where},
				Setting{name + "tls revoked", strings.Join(l.TLS.Revoked, " "), "", where},
				Setting{name + "tls min_version", l.TLS.MinVersion, "1.3", where})
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
		Setting{"tenants", served, "", from},
		Setting{"key files", strconv.Itoa(len(p.Keys)), "", from},
		Setting{"enrolment", enrolment, "not allowed", source("enroll")},
		Setting{"metrics address", cmp.Or(p.Admin.Address, "none"), "none", source("admin")},
		Setting{"trace endpoint", cmp.Or(p.Trace.Endpoint, "none"), "none", source("trace")})
	rows = append(rows, auditSettings(p.Audit, source("audit"))...)
	return append(rows, allowMissingSettings(p, from)...)
}

// Print prints the rows as a table or as JSON.
func Print(w io.Writer, rows []Setting, asJSON bool) error {
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

// OfManager returns the rows of a service manager's settings.
func OfManager(m systemd.Environment) []Setting {
	row := func(name, value, variable string) Setting {
		if value == "" {
			return Setting{name, "none", "none", "default"}
		}
		return Setting{name, value, "none", "environment " + variable}
	}
	var sockets []string
	for _, s := range m.Sockets {
		sockets = append(sockets, strconv.Quote(s.Name))
	}
	watchdog := ""
	if m.Watchdog != 0 {
		watchdog = m.Watchdog.String()
	}
	return []Setting{
		row("inherited sockets", strings.Join(sockets, " "), "LISTEN_FDS"),
		row("service manager", m.Notify, "NOTIFY_SOCKET"),
		row("watchdog", watchdog, "WATCHDOG_USEC"),
	}
}

// OfEnvironment returns the row of the environment. names are the variables that a host reads.
func OfEnvironment(e process.Environment, names []string) Setting {
	s := Setting{Name: "environment", Value: strings.Join(names, " "), Source: "fixed"}
	if e.Ignored {
		s.Value, s.Source = "ignored", e.Reason
	}
	return s
}

// httpRows returns the rows of the HTTP settings of a listener.
func httpRows(name string, h *policy.HTTP, where string) []Setting {
	return []Setting{
		{name + "protocol", "http", "pyro", where},
		{name + "hosts", strings.Join(h.Hosts, " "), "the names of this machine", where},
		{name + "cors", strings.Join(h.CORS, " "), "", where},
		{name + "mcp", strconv.FormatBool(h.MCP), "false", where},
		{name + "pyro_paths", strconv.FormatBool(h.PyroPaths), "false", where},
	}
}
