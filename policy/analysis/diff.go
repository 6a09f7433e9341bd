package analysis

import (
	"slices"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// Change is a difference between two policies. It is the same for all its principals, objects and methods.
type Change struct {
	Principals []object.Principal `json:"principals"`
	Objects    []string           `json:"objects"` // ids, or patterns without an object
	Methods    []object.Method    `json:"methods"` // "*": every method that no rule names
	Before     Explanation        `json:"before"`
	After      Explanation        `json:"after"`
}

// Diff returns every decision in which two policies differ.
//
// It compares the principals and methods of both policies, the objects of ids, and one hypothetical object for each
// pattern without an object. Two decisions that depend on conditions differ if the texts of the conditions differ.
func Diff(before, after *policy.Policy, ids []object.ID) []Change {
	u := newPartition(ids, before, after)
	var out []Change
	for _, who := range u.principals {
		for _, what := range u.objects {
			from := len(out)
			methods := u.distinctMethods(who[0], what[0].id)
			for _, m := range methods {
				asked := u.representative(m, methods)
				c := Change{
					Principals: who,
					Methods:    []object.Method{m},
					Before:     Explain(before, who[0], what[0].id, asked),
					After:      Explain(after, who[0], what[0].id, asked),
				}
				if c.Before.sameTerms(&c.After) {
					continue
				}
				i := slices.IndexFunc(out[from:], func(o Change) bool {
					return o.Before.equal(&c.Before) && o.After.equal(&c.After)
				})
				if i >= 0 { // another method of these objects changed in the same way
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

// sameTerms reports whether explanations of two policies have the same outcome under the same conditions.
func (e *Explanation) sameTerms(o *Explanation) bool {
	return e.Outcome == o.Outcome && slices.Equal(e.terms(), o.terms())
}

// terms returns the kinds and conditions of the rules that an outcome depends on, without their positions; sorted.
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

// equal reports whether two explanations of one policy are equal.
func (e *Explanation) equal(o *Explanation) bool {
	return e.Outcome == o.Outcome && e.Reason == o.Reason && slices.Equal(e.Conditions, o.Conditions)
}
