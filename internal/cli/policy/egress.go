package policy

import (
	"fmt"
	"io"
	"strings"

	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/display"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/analysis"
)

// egress returns the outbound requests of an object, or the decision about one: args are its principal, and the request
// as "POST https://api.example.com/v1/charges".
func (q *question) egress(args []string) ([]explained, error) {
	who := object.Principal(args[0])
	id, ok := who.Object()
	if !ok {
		return nil, cli.Usagef("%s is not an object; write object:<tenant>.<name>", who)
	}
	row := explained{Principal: who}
	if len(args) == 1 {
		if row.Egress = analysis.EgressOf(q.policy, id); row.Egress == nil {
			row.Decision, row.Reason = analysis.Deny, "no egress block names this object"
		}
		return []explained{row}, nil
	}
	method, url, ok := strings.Cut(args[1], " ")
	if !ok {
		return nil, cli.Usagef(`%q is not a request; write "POST https://api.example.com/v1/charges"`, args[1])
	}
	row.Call, row.Decision = args[1], analysis.Deny
	d := q.policy.DecideRequest(id, "", method, url)
	if row.Reason = d.Reason; d.Permit {
		row.Decision = analysis.Permit
	}
	return []explained{row}, nil
}

// printEgress prints one block with its terms.
func printEgress(w io.Writer, e analysis.EgressInfo) {
	fmt.Fprintf(w, "%s\n", e.Reason)
	for _, line := range e.Terms {
		fmt.Fprintf(w, "  %s\n", line)
	}
}

// printEgressChanges prints the differences of egress blocks.
func printEgressChanges(w io.Writer, changes []analysis.EgressChange) {
	for _, c := range changes {
		fmt.Fprintf(w, "egress %s of tenant %s\n", c.Name, c.Tenant)
		for _, line := range c.Before {
			fmt.Fprintf(w, "  - %s\n", line)
		}
		for _, line := range c.After {
			fmt.Fprintf(w, "  + %s\n", line)
		}
	}
}

// changes are all differences of two policies, as one list in JSON.
func allChanges(p [2]*policy.Policy, ids []object.ID) (calls []analysis.Change, egress []analysis.EgressChange) {
	return analysis.Diff(p[0], p[1], ids), analysis.DiffEgress(p[0], p[1])
}

// proved is the output of hearth policy prove in JSON.
type proved struct {
	analysis.Proof
	Egress analysis.EgressProof `json:"egress"`
}

func printEgressProof(w io.Writer, e analysis.EgressProof) {
	for _, c := range e.Counter {
		fmt.Fprintln(w, c)
	}
	if e.Blocks == 0 && e.Counter == nil {
		return
	}
	fmt.Fprintf(w, "%s: ", display.Plural(e.Blocks, "egress block"))
	if e.Counter == nil {
		fmt.Fprintln(w, "no object of another tenant can use or read a credential")
	} else {
		fmt.Fprintf(w, "%s\n", display.Plural(len(e.Counter), "counter-example"))
	}
	for _, s := range e.Unreadable {
		fmt.Fprintf(w, "read by no object: secret of %s\n", s)
	}
}
