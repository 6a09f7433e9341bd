package policy

import (
	"fmt"
	"io"
	"strings"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/analysis"
)

// reach returns the access of a principal.
func (q *question) reach(who object.Principal, ids []object.ID) []explained {
	var given *policy.Query
	if q.decided {
		given = &q.given
	}
	row := explained{Principal: who, Access: analysis.AccessOf(q.policy, who, given, ids)}
	if len(row.Access) == 0 {
		row.Decision, row.Reason = analysis.Deny, "this principal may call no method"
	}
	return []explained{row}
}

// printReach prints objects, their permitted methods and the rule that permits them.
func printReach(w io.Writer, r analysis.Access) {
	fmt.Fprintf(w, "%s: %s\n", folded(r.Objects), reachWords(r))
	if r.Outcome == analysis.Permit {
		fmt.Fprintf(w, "  permit: %s\n", r.Reason)
	}
	for _, line := range r.Conditions {
		fmt.Fprintf(w, "  depends: %s\n", line)
	}
}

// folded joins texts with commas, in lines that fit a terminal.
func folded(list []string) string {
	var b strings.Builder
	column := 0
	for i, s := range list {
		switch {
		case i > 0 && column+len(s) > 76:
			b.WriteString(",\n")
			column = 0
		case i > 0:
			b.WriteString(", ")
		}
		b.WriteString(s)
		column += len(s) + len(", ")
	}
	return b.String()
}

// everyMethod describes the methods of a rule that names none.
const everyMethod = "every exposed method"

// reachWords returns the methods of a row of access.
func reachWords(r analysis.Access) string {
	words := joined(r.Methods)
	if words == "*" {
		words = everyMethod
	}
	if len(r.Except) > 0 {
		words += " but " + joined(r.Except)
	}
	return words
}

func joined(methods []object.Method) string {
	texts := make([]string, len(methods))
	for i, m := range methods {
		texts[i] = string(m)
	}
	return strings.Join(texts, ", ")
}
