package policy

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/host/catalog"
	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/display"
	"github.com/hearthhost/hearth/internal/cli/policyflag"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/analysis"
)

// explained is a row of the answer: a decision, or the access of a principal.
type explained struct {
	Principal object.Principal      `json:"principal"`
	Call      string                `json:"call,omitempty"`
	Decision  analysis.Outcome      `json:"decision,omitempty"`
	Reason    string                `json:"reason,omitempty"`
	Depends   []string              `json:"conditions,omitempty"`
	Limits    []string              `json:"limits,omitempty"`
	Access    []analysis.Access     `json:"access,omitempty"`
	Rules     []analysis.RuleInfo   `json:"rules,omitempty"`
	Egress    []analysis.EgressInfo `json:"egress,omitempty"`
}

// explainFlags are the flags of explain.
type explainFlags struct {
	policyflag.Flags
	who    string
	rules  bool
	egress bool
	given  map[string]*string

	claims []string // NAME=VALUE
}

func newPolicyExplain() *cobra.Command {
	f := explainFlags{given: map[string]*string{}}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain PRINCIPAL [CALL] | --who CALL | --egress OBJECT [REQUEST]",
		Short: "Explain a decision, list the access of a principal, or list the callers of a method",
		Long: `Explain the decision about a call, written <tenant>.<name>.<method>, and name the rule. Without
CALL, list the access of the principal: the objects of the scripts and plugins folders, each with
its methods and the rule that permits them. A pattern of a rule that no object of a tenant matches
yet is listed as the pattern; it is for future objects that no narrower pattern matches. Everything
not listed is denied. With --rules, list the rules about the principal, with limits, instead. With
--who, list every principal of the policy with the decision about the call.

A decision that depends on conditions is shown as depends, with the conditions. --channel, --auth,
--address, --uid and --time set attributes of the caller and the time, so that it is decided;
attributes without a flag are unknown. A PRINCIPAL that the policy does not declare is an error.

With --egress, list the outbound HTTP requests that an object may send, with the places of its
credentials, or explain the decision about one REQUEST.`,
		Example: `  hearth policy explain alice acme.counter.add
  hearth policy explain alice acme.counter.add --channel tls --address 192.0.2.7
  hearth policy explain alice
  hearth policy explain --who acme.counter.add
  hearth policy explain object:acme.billing --egress
  hearth policy explain object:acme.billing --egress "GET https://api.example.com/v1/x"`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case f.who != "" && len(args) > 0:
				return cli.Usagef("--who is about all principals; omit PRINCIPAL")
			case f.who == "" && len(args) == 0:
				return cli.Usagef("PRINCIPAL is missing")
			case len(args) > 2:
				return cli.Usagef("unexpected argument %q", args[2])
			case f.egress && (f.rules || f.who != ""):
				return cli.Usagef("--egress excludes --rules and --who")
			case f.rules && len(args) != 1:
				return cli.Usagef("--rules takes one PRINCIPAL and no call")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			given, some, err := f.attributes(cmd)
			if err != nil {
				return err
			}
			p, _, err := f.Load()
			if err != nil {
				return err
			}
			if len(args) > 0 {
				if err := analysis.CheckPrincipal(p, object.Principal(args[0])); err != nil {
					return err
				}
			}
			q := question{policy: p, given: given, decided: some}
			var rows []explained
			switch {
			case f.egress:
				if rows, err = q.egress(args); err != nil {
					return err
				}
			case f.rules:
				rows = q.rules(object.Principal(args[0]))
			case len(args) == 1:
				ids, err := catalog.ObjectIDs(p)
				if err != nil {
					fmt.Fprintf(cmd.ErrOrStderr(), "warning: %v; only patterns are listed\n", err)
				}
				rows = q.reach(object.Principal(args[0]), ids)
			default:
				if rows, err = q.calls(f.who, args); err != nil {
					return err
				}
			}
			return printExplained(cmd.OutOrStdout(), rows, asJSON)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.who, "who", "", "list the principals that may make this call")
	fl.BoolVar(&f.egress, "egress", false,
		"list the outbound requests of the object, or explain the decision about one")
	fl.BoolVar(&f.rules, "rules", false, "list the rules about the principal instead of its access")
	for name, usage := range map[string]string{
		"channel": "decide for a caller on this channel: unix, tcp, tls or hmac",
		"auth": "decide for a caller with this authentication method: peer, hmac, cert, pyro4-hmac, bearer, " +
			"oidc or webhook",
		"gateway": "decide for a caller of this gateway: pyro, http, mcp, webhook or object",
		"address": "decide for a caller at this address",
		"uid":     "decide for a caller with this user id",
		"time":    `decide at this time, as "2027-01-31T18:00:00Z"`,
	} {
		f.given[name] = fl.String(name, "", usage)
	}
	fl.StringArrayVar(&f.claims, "claim", nil, "decide for a caller whose token has this `NAME=VALUE`; repeat it for "+
		"more, and for the elements of a list")
	f.Add(cmd)
	cli.JSONFlag(cmd, &asJSON)
	return cmd
}

// attributes returns the attributes of a caller that the flags set. some is false if they set none.
func (f *explainFlags) attributes(cmd *cobra.Command) (g policy.Query, some bool, err error) {
	for _, name := range policy.QueryNames {
		if !cmd.Flags().Changed(name) {
			continue
		}
		some = true
		if err := g.Set(name, *f.given[name]); err != nil {
			return g, false, cli.Usagef("--%s %s: %w", name, *f.given[name], err)
		}
	}
	if len(f.claims) == 0 {
		return g, some, nil
	}
	claims := map[string]object.Claim{}
	for _, s := range f.claims {
		name, value, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return g, false, cli.Usagef("--claim %s: write NAME=VALUE", s)
		}
		if c, ok := claims[name]; ok {
			claims[name] = object.Claim{List: append(c.All(), value)}
		} else {
			claims[name] = object.Claim{Text: value}
		}
	}
	g.SetClaims(claims)
	return g, true, nil
}

// question is a query to a policy.
type question struct {
	policy  *policy.Policy
	given   policy.Query
	decided bool // attributes of the caller are given
}

// rules returns the rules about a principal.
func (q *question) rules(who object.Principal) []explained {
	row := explained{Principal: who, Rules: analysis.RulesOf(q.policy, who)}
	if len(row.Rules) == 0 {
		row.Decision, row.Reason = analysis.Deny, "no rule is about this principal"
	}
	return []explained{row}
}

// calls returns the decisions about a call for one principal, or for all.
func (q *question) calls(who string, args []string) ([]explained, error) {
	call := who
	if len(args) == 2 {
		call = args[1]
	}
	id, m, err := policy.SplitCall(call)
	if err != nil {
		return nil, cli.Usagef("%q is not a method of an object: %w", call, err)
	}
	subjects := q.policy.PermittedPrincipals()
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

func (q *question) one(who object.Principal, id object.ID, m object.Method) explained {
	var row explained
	if q.decided {
		d := q.policy.DecideQuery(who, q.given, id, m)
		row = explained{Decision: analysis.Deny, Reason: d.Reason}
		if d.Permit {
			row.Decision = analysis.Permit
		}
	} else {
		e := analysis.Explain(q.policy, who, id, m)
		row = explained{Decision: e.Outcome, Reason: e.Reason, Depends: e.Conditions}
	}
	row.Principal = who
	row.Reason = strings.TrimPrefix(row.Reason, "denied: ")
	if row.Decision == analysis.Deny {
		return row
	}
	for _, l := range q.policy.LimitsOf(who, id) {
		row.Limits = append(row.Limits, l.String()+" by "+l.Reason)
	}
	return row
}

func printExplained(w io.Writer, rows []explained, asJSON bool) error {
	if asJSON {
		return display.JSON(w, rows)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		if r.Decision != "" {
			fmt.Fprintf(tw, "%s\t%s\t%s\n", r.Principal, r.Decision, r.Reason)
			for _, line := range append(r.Depends, r.Limits...) {
				fmt.Fprintf(tw, "\t\t%s\n", line)
			}
			continue
		}
		for _, e := range r.Egress {
			printEgress(tw, e)
		}
		for _, reach := range r.Access {
			printReach(tw, reach)
		}
		for _, rule := range r.Rules {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", r.Principal, kindWords[rule.Kind],
				strings.Join(rule.Objects, " "), ruleWords(rule), rule.Reason)
		}
	}
	return tw.Flush()
}

var kindWords = map[string]string{"permit": "may", "forbid": "may not", "limit": "at most"}

// ruleWords returns the methods or the limit of a rule, and its condition.
func ruleWords(r analysis.RuleInfo) string {
	words := everyMethod
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

// explanationLine returns an explanation as one line.
func explanationLine(e analysis.Explanation) string {
	if e.Outcome == analysis.Depends {
		return "depends: " + strings.Join(e.Conditions, "; ")
	}
	return string(e.Outcome) + ": " + strings.TrimPrefix(e.Reason, "denied: ")
}
