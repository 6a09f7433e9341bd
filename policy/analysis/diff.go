package analysis

import (
	"slices"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// Change is a difference between two policies: the same for all of some principals,
// objects and methods.
type Change struct {
	Principals []object.Principal `json:"principals"`
	Objects    []string           `json:"objects"` // ids; patterns, where no object is yet
	Methods    []object.Method    `json:"methods"` // "*": every one that no rule names
	Before     Explanation        `json:"before"`
	After      Explanation        `json:"after"`
}

// Diff returns every decision in which two policies differ, about the principals and
// methods of both, the objects of ids, and one object for each pattern that has none. Two
// decisions that depend on conditions differ if the conditions do.
func Diff(before, after *policy.Policy, ids []object.ID) []Change {
	u := newPartition(ids, before, after)
	var out []Change
	for _, who := range u.principals {
		for _, what := range u.objects {
			from := len(out)
			methods := u.distinctMethods(who[0], what[0].id)
			for _, m := range methods {
				asked := u.representative(m, methods)
				c := Change{Principals: who, Methods: []object.Method{m},
					Before: Explain(before, who[0], what[0].id, asked), After: Explain(after, who[0], what[0].id, asked)}
				if c.Before.sameTerms(&c.After) {
					continue
				}
				i := slices.IndexFunc(out[from:], func(o Change) bool { return o.Before.equal(&c.Before) && o.After.equal(&c.After) })
				if i >= 0 {
					out[from+i].Methods = append(out[from+i].Methods, m)
					continue
				}
				for _, t := range what {
					c.Objects = append(c.Objects, t.label)
				}
				out = append(out, c)
			}
		}
	}
	return out
}

// sameTerms reports whether two explanations, of different policies, come to the same.
func (e *Explanation) sameTerms(o *Explanation) bool {
	return e.Outcome == o.Outcome && slices.Equal(e.terms(), o.terms())
}

// terms is what an outcome depends on, without the places in the file.
func (e *Explanation) terms() []string {
	var out []string
	for _, r := range e.conditional {
		kind := "permit "
		if r.Forbids {
			kind = "forbid "
		}
		out = append(out, kind+r.When.Source)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// equal reports whether two explanations, of one policy, say the same.
func (e *Explanation) equal(o *Explanation) bool {
	return e.Outcome == o.Outcome && e.Reason == o.Reason && slices.Equal(e.Conditions, o.Conditions)
}
