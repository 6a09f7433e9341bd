package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

func newPolicy() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Check a policy file and ask it questions",
		Long: `Check a policy file, its tests included, and ask who may what. Nothing here calls a host: the
answers are those that a host would give under this file.`,
		Example: `  hearth policy check
  hearth policy explain alice acme.counter.add`,
		Args: noSuchVerb,
		RunE: help,
	}
	cmd.AddCommand(newPolicyCheck(), newPolicyExplain())
	return cmd
}

func newPolicyCheck() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check a policy file and run its tests",
		Long: `Check a policy file and run its tests. Everything that is wrong is listed, with file, line and
column; the exit code is 1 then. Files that the policy names are not read: hearth serve
--check does that too.`,
		Example: `  hearth policy check
  hearth policy check --policy /etc/hearth/policy.hcl`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, from, err := f.load()
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: ok, %s\n", from, plural(p.Tests, "test"))
			return nil
		},
	}
	f.policyFlags(cmd)
	return cmd
}

// explained is the answer to who may what.
type explained struct {
	Principal object.Principal  `json:"principal"`
	Call      string            `json:"call,omitempty"`
	Decision  string            `json:"decision,omitempty"` // permit or deny
	Reason    string            `json:"reason,omitempty"`
	Rules     []policy.RuleInfo `json:"rules,omitempty"`
}

func newPolicyExplain() *cobra.Command {
	var f serveFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain PRINCIPAL [CALL] | --who CALL",
		Short: "Say why somebody may or may not call, what somebody may, or who may",
		Long: `Say why a principal may or may not make a call, written <tenant>.<name>.<method>, and which
rule says so. Without CALL, list the rules about the principal. With --who, list everybody
whom the policy names and whether he may make the call.`,
		Example: `  hearth policy explain alice acme.counter.add
  hearth policy explain alice
  hearth policy explain --who acme.counter.add`,
		RunE: nil,
	}
	var who string
	cmd.Flags().StringVar(&who, "who", "", "list who may make this call")
	cmd.Args = func(_ *cobra.Command, args []string) error {
		switch {
		case who != "" && len(args) > 0:
			return usagef("--who asks about everybody: name no principal")
		case who == "" && len(args) == 0:
			return usagef("PRINCIPAL is missing")
		case len(args) > 2:
			return usagef("unexpected argument %q", args[2])
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p, _, err := f.load()
		if err != nil {
			return err
		}
		rows, err := explain(p, who, args)
		if err != nil {
			return err
		}
		return printExplained(cmd.OutOrStdout(), rows, asJSON)
	}
	f.policyFlags(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// explain answers: about everybody and one call, about one principal and a call, or about
// all that one may.
func explain(p *policy.Policy, who string, args []string) ([]explained, error) {
	call := who
	if len(args) == 2 {
		call = args[1]
	}
	if call == "" {
		name := object.Principal(args[0])
		rules := p.RulesOf(name)
		if len(rules) == 0 {
			return []explained{{Principal: name, Decision: "deny", Reason: "no rule is about this principal: it may nothing"}}, nil
		}
		return []explained{{Principal: name, Rules: rules}}, nil
	}
	id, m, err := policy.SplitCall(call)
	if err != nil {
		return nil, usagef("%q is no method of an object: %w", call, err)
	}
	subjects := p.Subjects()
	if len(args) > 0 {
		subjects = []object.Principal{object.Principal(args[0])}
	}
	var rows []explained
	for _, s := range subjects {
		d := p.Decide(policy.CallerOf(s), id, m)
		row := explained{Principal: s, Call: call, Decision: "deny", Reason: strings.TrimPrefix(d.Reason, "denied: ")}
		if d.Permit {
			row.Decision = "permit"
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func printExplained(w io.Writer, rows []explained, asJSON bool) error {
	if asJSON {
		return printJSON(w, rows)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		if len(r.Rules) == 0 {
			fmt.Fprintf(tw, "%s\t%s\t%s\n", r.Principal, r.Decision, r.Reason)
			continue
		}
		for _, rule := range r.Rules {
			kind, methods := "may", "every exposed method"
			if rule.Forbid {
				kind = "may not"
			}
			if rule.Methods != nil {
				methods = strings.Join(rule.Methods, " ")
			}
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", r.Principal, kind, strings.Join(rule.Objects, " "), methods, rule.Reason)
		}
	}
	return tw.Flush()
}
