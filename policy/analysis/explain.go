package analysis

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/problem"
)

// Outcome is the decision on a call whose connection attributes and time are unknown.
type Outcome string

// The outcomes.
const (
	Permit  Outcome = "permit"
	Deny    Outcome = "deny"
	Depends Outcome = "depends" // on conditions
)

// Explanation is an outcome and its reason.
type Explanation struct {
	Outcome Outcome `json:"decision"`
	Reason  string  `json:"reason"` // the deciding rule, or the cause of a denial
	// Conditions are the rules that the outcome depends on, as
	// `policy.hcl:9 permit "x" when caller.channel == "tls"`.
	Conditions []string `json:"conditions,omitempty"`

	conditional []*policy.Rule
}

// Explain returns the decision on a call of method m of object id by a principal, for any connection and any time.
// Where the decision does not depend on these, it equals the one of [policy.Policy.Decide].
func Explain(p *policy.Policy, who object.Principal, id object.ID, m object.Method) Explanation {
	switch {
	case !policy.Callable(m):
		return Explanation{Outcome: Deny, Reason: policy.DenyMethod}
	case !p.Addressable(id):
		return Explanation{Outcome: Deny, Reason: policy.DenyObject}
	}
	e := p.Match(who, id, m)
	if len(e.Forbids) > 0 && e.Forbids[0].When == nil {
		return Explanation{Outcome: Deny, Reason: e.Forbids[0].Reason}
	}
	if len(e.Permits) == 0 && !e.Sibling {
		if !p.HasPermit(who) {
			return Explanation{Outcome: Deny, Reason: policy.DenyUnknown}
		}
		return Explanation{Outcome: Deny, Reason: policy.DenyNoRule}
	}
	for _, r := range e.Permits {
		if r.When == nil {
			return explained(r.Reason, e.Forbids)
		}
	}
	if e.Sibling {
		return explained(p.Siblings.Reason, e.Forbids)
	}
	return explained("", append(e.Forbids, e.Permits...))
}

// explained returns the explanation of a call that a rule permits for this reason. The outcome is Depends if there are
// rules with conditions.
func explained(reason string, conditional []*policy.Rule) Explanation {
	if len(conditional) == 0 {
		return Explanation{Outcome: Permit, Reason: reason}
	}
	out := Explanation{Outcome: Depends, Reason: "depends on conditions", conditional: conditional}
	for _, r := range conditional {
		out.Conditions = append(out.Conditions, r.Reason+" when "+r.When.Source)
	}
	return out
}

// RuleInfo describes a permit, forbid or limit.
type RuleInfo struct {
	Reason  string   `json:"rule"`              // `policy.hcl:14 permit "staff may read"`
	Kind    string   `json:"kind"`              // permit, forbid or limit
	Objects []string `json:"objects"`           // patterns
	Methods []string `json:"methods,omitempty"` // sorted; nil: every method
	When    string   `json:"when,omitempty"`
	Limit   string   `json:"limit,omitempty"` // "100/s, 4 at a time"

	name string
}

// RulesOf returns a principal's forbids, permits and limits, in this order, each kind sorted by name.
func RulesOf(p *policy.Policy, who object.Principal) []RuleInfo {
	permits, forbids := p.RulesAbout(who)
	var limits []*policy.Limit
	seen := map[any]bool{}
	for _, s := range p.Subjects[who] {
		limits = append(limits, s.Limits.All(seen)...)
		for _, l := range s.Shares {
			if !seen[l] {
				seen[l] = true
				limits = append(limits, l)
			}
		}
	}
	var out []RuleInfo
	add := func(kind string, rules []*policy.Rule) {
		from := len(out)
		for _, r := range rules {
			i := RuleInfo{name: r.Name, Reason: r.Reason, Kind: kind, Objects: patternTexts(r.Objects)}
			if r.Methods != nil {
				for m := range r.Methods {
					i.Methods = append(i.Methods, string(m))
				}
				slices.Sort(i.Methods)
			}
			if r.When != nil {
				i.When = r.When.Source
			}
			out = append(out, i)
		}
		sortByName(out[from:])
	}
	add("forbid", forbids)
	add("permit", permits)
	from := len(out)
	for _, l := range limits {
		out = append(out, RuleInfo{
			name:    l.Name,
			Reason:  l.Reason,
			Kind:    "limit",
			Objects: patternTexts(l.Objects),
			Limit:   l.String(),
		})
	}
	sortByName(out[from:])
	return out
}

func sortByName(list []RuleInfo) {
	slices.SortFunc(list, func(a, b RuleInfo) int { return strings.Compare(a.name, b.name) })
}

// patternTexts returns patterns in the syntax of the policy file.
func patternTexts(patterns []policy.Pattern) []string {
	var out []string
	for _, o := range patterns {
		out = append(out, o.String())
	}
	return out
}

// CheckPrincipal returns an error for a name that is not a principal of the policy. The error suggests the nearest
// name.
func CheckPrincipal(p *policy.Policy, who object.Principal) error {
	hinted := func(hint, format string, args ...any) error {
		if hint != "" {
			hint = "; " + hint
		}
		return errors.New(fmt.Sprintf(format, args...) + hint)
	}
	if id, isObject := who.Object(); isObject {
		if _, err := object.ParseID(string(id)); err != nil {
			return hinted("write object:<tenant>.<name>", "%q is not the principal of an object", who)
		}
		if !p.Serves(id.Tenant()) {
			var tenants []string
			for _, t := range p.Tenants {
				tenants = append(tenants, string(t))
			}
			return hinted(problem.Near(string(id.Tenant()), tenants), "the policy declares no tenant %q", id.Tenant())
		}
		return nil
	}
	if p.ValidPrincipal(who) {
		return nil
	}
	names := []string{string(object.Anonymous)}
	for _, name := range p.Declared {
		names = append(names, string(name))
		if slices.Contains(p.Groups[name], string(who)) {
			hint := fmt.Sprintf("name one of its members, such as %q", name)
			return hinted(hint, "%q is a group, not a principal", who)
		}
	}
	return hinted(problem.Near(string(who), names), "the policy declares no principal %q", who)
}

// Unmatched returns the patterns of rules that match none of the objects, each with its rules, as `acme.countr in
// policy.hcl:12 permit "x"`. Such a pattern is for future objects or a mistake.
func Unmatched(p *policy.Policy, ids []object.ID) []string {
	var out []string
	for o, in := range rulePatterns(p) {
		matches := func(id object.ID) bool {
			if _, key, keyed := id.Split(); keyed && key == object.AnyKey {
				_, ok := o.Example(id.Family())
				return ok
			}
			return o.Match(id)
		}
		if !slices.ContainsFunc(ids, matches) {
			out = append(out, o.String()+" in "+strings.Join(slices.Sorted(maps.Keys(in)), ", "))
		}
	}
	slices.Sort(out)
	return out
}
