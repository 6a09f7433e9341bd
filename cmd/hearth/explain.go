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

// explained is the answer to who may what.
type explained struct {
	Principal object.Principal  `json:"principal"`
	Call      string            `json:"call,omitempty"`
	Decision  policy.Outcome    `json:"decision,omitempty"`
	Reason    string            `json:"reason,omitempty"`
	Depends   []string          `json:"conditions,omitempty"`
	Limits    []string          `json:"limits,omitempty"`
	Rules     []policy.RuleInfo `json:"rules,omitempty"`
}

// explainFlags are the flags of explain.
type explainFlags struct {
	serveFlags
	who   string
	given map[string]*string
}

func newPolicyExplain() *cobra.Command {
	f := explainFlags{given: map[string]*string{}}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain PRINCIPAL [CALL] | --who CALL",
		Short: "Say why somebody may or may not call, what somebody may, or who may",
		Long: `Say why a principal may or may not make a call, written <tenant>.<name>.<method>, and which
rule says so. Without CALL, list the rules about the principal. With --who, list everybody
whom the policy names and whether he may make the call. What depends on conditions is said to
depend, and on which; with --channel, --way, --address, --uid or --time, of the caller and the
moment, it is decided, and a fact that is not given is one that is not known.`,
		Example: `  hearth policy explain alice acme.counter.add
  hearth policy explain alice acme.counter.add --channel tls --address 192.0.2.7
  hearth policy explain alice
  hearth policy explain --who acme.counter.add`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case f.who != "" && len(args) > 0:
				return usagef("--who asks about everybody: name no principal")
			case f.who == "" && len(args) == 0:
				return usagef("PRINCIPAL is missing")
			case len(args) > 2:
				return usagef("unexpected argument %q", args[2])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			given, any, err := f.facts(cmd)
			if err != nil {
				return err
			}
			p, _, err := f.load()
			if err != nil {
				return err
			}
			q := question{policy: p, given: given, decided: any}
			rows, err := q.answer(f.who, args)
			if err != nil {
				return err
			}
			return printExplained(cmd.OutOrStdout(), rows, asJSON)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.who, "who", "", "list who may make this call")
	for name, usage := range map[string]string{
		"channel": "decide for a caller on this channel: unix, tcp, tls or hmac",
		"way":     "decide for a caller identified in this way: peer, hmac, cert or pyro4-hmac",
		"address": "decide for a caller at this address",
		"uid":     "decide for a caller with this user id",
		"time":    `decide at this time, as "2027-01-31T18:00:00Z"`,
	} {
		f.given[name] = fl.String(name, "", usage)
	}
	f.policyFlags(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// facts returns what the flags give of a caller, and whether they give anything.
func (f *explainFlags) facts(cmd *cobra.Command) (g policy.Given, some bool, err error) {
	for _, name := range policy.GivenNames {
		if !cmd.Flags().Changed(name) {
			continue
		}
		some = true
		if err := g.Set(name, *f.given[name]); err != nil {
			return g, false, usagef("--%s %s: %w", name, *f.given[name], err)
		}
	}
	return g, some, nil
}

// question is what is asked of a policy.
type question struct {
	policy  *policy.Policy
	given   policy.Given
	decided bool // facts are given
}

// answer answers: about everybody and one call, about one principal and a call, or about
// all that one may.
func (q *question) answer(who string, args []string) ([]explained, error) {
	call := who
	if len(args) == 2 {
		call = args[1]
	}
	if call == "" {
		name := object.Principal(args[0])
		rules := q.policy.RulesOf(name)
		if len(rules) == 0 {
			return []explained{{Principal: name, Decision: policy.Deny, Reason: q.stranger(name, "no rule is about this principal: it may nothing")}}, nil
		}
		return []explained{{Principal: name, Rules: rules}}, nil
	}
	id, m, err := policy.SplitCall(call)
	if err != nil {
		return nil, usagef("%q is no method of an object: %w", call, err)
	}
	subjects := q.policy.Subjects()
	if len(args) > 0 {
		subjects = []object.Principal{object.Principal(args[0])}
	}
	var rows []explained
	for _, s := range subjects {
		row := q.one(s, id, m)
		row.Call = call
		rows = append(rows, row)
	}
	return rows, nil
}

// stranger says of somebody whom the policy does not know just that.
func (q *question) stranger(who object.Principal, otherwise string) string {
	if q.policy.Knows(who) {
		return otherwise
	}
	return "no principal of this name is declared"
}

func (q *question) one(who object.Principal, id object.ID, m object.Method) explained {
	var row explained
	if q.decided {
		d := q.policy.DecideGiven(who, q.given, id, m)
		row = explained{Decision: policy.Deny, Reason: d.Reason}
		if d.Permit {
			row.Decision = policy.Permit
		}
	} else {
		e := q.policy.Explain(who, id, m)
		row = explained{Decision: e.Outcome, Reason: e.Reason, Depends: e.Conditions}
	}
	row.Principal = who
	row.Reason = strings.TrimPrefix(row.Reason, "denied: ")
	if row.Decision == policy.Deny {
		row.Reason = q.stranger(who, row.Reason)
		return row
	}
	for _, l := range q.policy.LimitsOf(who, id) {
		row.Limits = append(row.Limits, l.String()+" by "+l.Reason)
	}
	return row
}

func printExplained(w io.Writer, rows []explained, asJSON bool) error {
	if asJSON {
		return printJSON(w, rows)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		if len(r.Rules) == 0 {
			fmt.Fprintf(tw, "%s\t%s\t%s\n", r.Principal, r.Decision, r.Reason)
			for _, line := range append(r.Depends, r.Limits...) {
				fmt.Fprintf(tw, "\t\t%s\n", line)
			}
			continue
		}
		for _, rule := range r.Rules {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", r.Principal, kindWords[rule.Kind], strings.Join(rule.Objects, " "), ruleWords(rule), rule.Reason)
		}
	}
	return tw.Flush()
}

var kindWords = map[string]string{"permit": "may", "forbid": "may not", "limit": "at most"}

// ruleWords says what of the objects a rule is about, and when.
func ruleWords(r policy.RuleInfo) string {
	words := "every exposed method"
	if r.Methods != nil {
		words = strings.Join(r.Methods, " ")
	}
	if r.Limit != "" {
		words = r.Limit
	}
	if r.When != "" {
		words += " when " + r.When
	}
	return words
}

// sayExplanation puts an explanation on one line.
func sayExplanation(e policy.Explanation) string {
	if e.Outcome == policy.Depends {
		return "depends: " + strings.Join(e.Conditions, "; ")
	}
	return string(e.Outcome) + ": " + strings.TrimPrefix(e.Reason, "denied: ")
}
