package policyfile_test

import (
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/analysis"
	"github.com/hearthhost/hearth/policy/policyfile"
)

const shares = `
listener "l" { address = "127.0.0.1:0" }
principal "alice" { uid = 1001 }
principal "bob" { uid = 1002 }
tenant "acme" {}
group "all" { members = ["alice", "bob"] }
limit "everybody" {
  principals  = ["all"]
  connections = 50
  in_flight   = "1MiB"
}
limit "alice" {
  principals  = ["alice"]
  objects     = ["*"]
  rate        = "5/s"
  connections = 10
  in_flight   = "64MiB"
  streams     = 200
}
limit "streams" {
  principals = ["all"]
  streams    = 300
}
limit "the daemon" {
  principals = ["bob"]
  objects    = ["Pyro.Daemon"]
  concurrent = 1
}
`

// TestSmallShares checks the warning about a share below the size of a message.
func TestSmallShares(t *testing.T) {
	for size, want := range map[string]int{"8MiB": 0, "7MiB": 1} {
		p := mustParse(t, `
listener "l" { address = "127.0.0.1:0" }
principal "alice" { uid = 1001 }
limit "alice" {
  principals = ["alice"]
  in_flight  = "`+size+`"
}
`)
		n := 0
		for _, w := range p.Warnings {
			if strings.Contains(w.String(),
				`limit "alice": messages have at most 8MiB; one above in_flight is accepted alone`) {
				n++
			}
		}
		if n != want {
			t.Errorf("%s: %d warnings of %v, want %d", size, n, p.Warnings, want)
		}
	}
}

// TestShares checks that a principal's share is the smallest of its limits, and that limits of objects can cover the
// host's own objects.
func TestShares(t *testing.T) {
	p := mustParse(t, shares)
	for who, want := range map[object.Principal]policy.Share{
		"alice": {Connections: 10, InFlight: 1 << 20, Streams: 200, Reason: `policy.hcl:12 limit "alice"`},
		"bob":   {Connections: 50, InFlight: 1 << 20, Streams: 300, Reason: `policy.hcl:7 limit "everybody"`},
		"carol": {},
	} {
		if got := p.ShareOf(who); got != want {
			t.Errorf("%s: %+v, want %+v", who, got, want)
		}
	}
	for who, want := range map[object.Principal]string{"alice": "alice", "bob": "the daemon", "carol": ""} {
		if got := strings.Join(names(p.LimitsOf(who, object.Daemon)), ", "); got != want {
			t.Errorf("limits of %s's calls of the daemon: %q, want %q", who, got, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { p.LimitsOf("carol", object.Daemon) }); n != 0 {
		t.Errorf("%v allocations where nothing is limited", n)
	}
	var rules []string
	for _, r := range analysis.RulesOf(p, "bob") {
		rules = append(rules, r.Limit)
	}
	if got, want := strings.Join(rules,
		"; "), "50 connections, 1MiB in flight; 300 item streams; 1 at a time"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for body, want := range map[string]string{
		`connections = 0`:                           "connections: must",
		`in_flight = "1KiB"`:                        "must be a size from 64KiB",
		`streams = 0`:                               "streams: must",
		"objects = [\"acme.*\"]\nstreams = 5":       "over all objects",
		"objects = [\"acme.*\"]\nconnections = 5":   "over all objects",
		"rate = \"5/s\"\nconnections = 5":           "needs objects",
		"objects = [\"Pyro.Daemon\"]\nrate = \"x\"": "rate:",
	} {
		_, err := policyfile.Parse("policy.hcl",
			[]byte(shares+"limit \"more\" {\nprincipals = [\"bob\"]\n"+body+"\n}"), "/base", hostUID, accounts)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", body, err, want)
		}
	}
}

// names returns the names of limits.
func names(limits []*policy.Limit) (out []string) {
	for _, l := range limits {
		out = append(out, l.Name)
	}
	return out
}
