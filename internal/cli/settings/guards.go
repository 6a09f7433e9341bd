package settings

import (
	"strconv"
	"strings"

	"github.com/hearthhost/hearth/policy"
)

// auditSettings returns the rows of the audit log, which the policy sets at the position where.
func auditSettings(a policy.Audit, where string) []Setting {
	if a.Off {
		return []Setting{{"audit log", "off", "on", where}}
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
	return []Setting{
		{"audit log", a.Path, "audit.jsonl in state", where},
		{"audit permits", permits, "all", where},
		{"audit on_failure", onFailure, "deny", where},
		{"audit rotate", strconv.FormatInt(a.Rotate, 10), strconv.FormatInt(usual.Rotate, 10), where},
		{"audit keep", keep, strconv.Itoa(usual.Keep), where},
	}
}

// allowMissingSettings returns a row for each tenant or plugin whose isolation the policy weakens.
func allowMissingSettings(p *policy.Policy, from string) []Setting {
	var rows []Setting
	for _, t := range p.Tenants {
		if names := p.Tenant(t).AllowMissing; len(names) > 0 {
			name := "tenant " + string(t) + " allow_missing"
			rows = append(rows, Setting{name, strings.Join(names, " "), "none", from})
		}
	}
	for i := range p.Pins {
		pl := &p.Pins[i]
		if pl.Unpinned {
			rows = append(rows, Setting{"plugin " + string(pl.ID) + " unpinned", "true", "false", pl.Where})
		}
		if pl.Unconfined {
			rows = append(rows, Setting{"plugin " + string(pl.ID) + " unconfined", "true", "false", pl.Where})
		}
	}
	return rows
}
