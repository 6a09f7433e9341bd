package main

import (
	"strconv"
	"strings"

	"github.com/hearthhost/hearth/policy"
)

// auditSettings are those of the audit log, which a policy's audit block sets at where.
func auditSettings(a policy.Audit, where string) []setting {
	if a.Off {
		return []setting{{"audit log", "off", "on", where}}
	}
	permits := "all"
	switch a.Permits {
	case 0:
		permits = "none"
	case 1:
	default:
		permits = "1/" + strconv.FormatUint(a.Permits, 10)
	}
	onFailure := "deny"
	if a.Drop {
		onFailure = "drop-and-count"
	}
	keep := "all"
	if a.Keep != 0 {
		keep = strconv.Itoa(a.Keep)
	}
	usual := policy.DefaultAudit("state")
	return []setting{
		{"audit log", a.Path, "audit.jsonl in state", where},
		{"audit permits", permits, "all", where},
		{"audit on_failure", onFailure, "deny", where},
		{"audit rotate", strconv.FormatInt(a.Rotate, 10), strconv.FormatInt(usual.Rotate, 10), where},
		{"audit keep", keep, strconv.Itoa(usual.Keep), where},
	}
}

// allowMissingSettings are the walls that the policy, which came from the file or text named, does
// without, a row a tenant or plugin.
func allowMissingSettings(p *policy.Policy, from string) []setting {
	var rows []setting
	for _, t := range p.Tenants {
		if names := p.Tenant(t).AllowMissing; len(names) > 0 {
			rows = append(rows, setting{"tenant " + string(t) + " allow_missing", strings.Join(names, " "), "no wall", from})
		}
	}
	for i := range p.Pins {
		pl := &p.Pins[i]
		if pl.Unpinned {
			rows = append(rows, setting{"plugin " + string(pl.ID) + " unpinned", "true", "false", pl.Where})
		}
		if pl.Unconfined {
			rows = append(rows, setting{"plugin " + string(pl.ID) + " unconfined", "true", "false", pl.Where})
		}
	}
	return rows
}
