package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/object"
)

// Outcome is what a policy says about a call when nothing is known but who calls what.
type Outcome string

// The outcomes.
const (
	Permit  Outcome = "permit"
	Deny    Outcome = "deny"
	Depends Outcome = "depends" // on conditions
)

// Explanation is an outcome and why.
type Explanation struct {
	Outcome Outcome `json:"decision"`
	Reason  string  `json:"reason"` // the rule that settles it, or why there is none
	// Conditions are the rules that it depends on, as
	// `policy.hcl:9 permit "x" when caller.channel == "tls"`.
	Conditions []string `json:"conditions,omitempty"`

	conditional []*rule
}

// Explain says whether who may call method m of object id, whatever the facts of the
// connection and the time. It says what [Policy.Decide] says wherever that does not
// depend on them.
func (p *Policy) Explain(who object.Principal, id object.ID, m object.Method) Explanation {
	switch {
	case !callable(m):
		return Explanation{Outcome: Deny, Reason: denyMethod}
	case !p.addressable(id):
		return Explanation{Outcome: Deny, Reason: denyObject}
	}
	e := p.entry(who, id, m)
	if len(e.forbids) > 0 && e.forbids[0].when == nil {
		return Explanation{Outcome: Deny, Reason: e.forbids[0].reason}
	}
	if len(e.permits) == 0 && !e.sibling {
		e.forbids = nil // they forbid what nothing permits
		return Explanation{Outcome: Deny, Reason: e.settle(p, &object.Caller{Principal: who}, nil).Reason}
	}
	for _, r := range e.permits {
		if r.when == nil {
			return explained(r.reason, e.forbids)
		}
	}
	if e.sibling {
		return explained(p.siblings.reason, e.forbids)
	}
	return explained("", append(e.forbids, e.permits...))
}

// explained is the outcome of a call that the rule of this reason permits, unless rules have
// conditions on which it depends.
func explained(reason string, conditional []*rule) Explanation {
	if len(conditional) == 0 {
		return Explanation{Outcome: Permit, Reason: reason}
	}
	out := Explanation{Outcome: Depends, Reason: "depends on what conditions say", conditional: conditional}
	for _, r := range conditional {
		out.Conditions = append(out.Conditions, r.reason+" when "+r.when.source)
	}
	return out
}

// RuleInfo is what a permit, forbid or limit says, for people.
type RuleInfo struct {
	Reason  string   `json:"rule"`              // `policy.hcl:14 permit "staff may read"`
	Kind    string   `json:"kind"`              // permit, forbid or limit
	Objects []string `json:"objects"`           // patterns
	Methods []string `json:"methods,omitempty"` // sorted; nil: every one
	When    string   `json:"when,omitempty"`
	Limit   string   `json:"limit,omitempty"` // "100/s, 4 at a time"

	name string
}

// RulesOf returns the rules about a principal: forbids, permits, limits, each kind by name.
func (p *Policy) RulesOf(who object.Principal) []RuleInfo {
	permits, forbids := p.rulesAbout(who)
	var limits []*Limit
	seen := map[any]bool{}
	for _, s := range p.subjects[who] {
		limits = append(limits, s.limits.all(seen)...)
		for _, l := range s.shares {
			if !seen[l] {
				seen[l] = true
				limits = append(limits, l)
			}
		}
	}
	var out []RuleInfo
	add := func(kind string, rules []*rule) {
		from := len(out)
		for _, r := range rules {
			i := RuleInfo{name: r.name, Reason: r.reason, Kind: kind, Objects: patternTexts(r.objects)}
			if r.methods != nil {
				for m := range r.methods {
					i.Methods = append(i.Methods, string(m))
				}
				slices.Sort(i.Methods)
			}
			if r.when != nil {
				i.When = r.when.source
			}
			out = append(out, i)
		}
		sortByName(out[from:])
	}
	add("forbid", forbids)
	add("permit", permits)
	from := len(out)
	for _, l := range limits {
		out = append(out, RuleInfo{name: l.Name, Reason: l.Reason, Kind: "limit", Objects: patternTexts(l.objects), Limit: l.String()})
	}
	sortByName(out[from:])
	return out
}

// Subjects returns every principal that a permit names, sorted: nobody else may anything,
// but for objects that call their siblings under the built-in policy.
func (p *Policy) Subjects() []object.Principal {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(p.subjects)), func(who object.Principal) bool { return !p.permitted(who) })
}

func sortByName(list []RuleInfo) {
	slices.SortFunc(list, func(a, b RuleInfo) int { return strings.Compare(a.name, b.name) })
}

// patternTexts returns patterns as they are written.
func patternTexts(patterns []pattern) []string {
	var out []string
	for _, o := range patterns {
		out = append(out, o.String())
	}
	return out
}

// Knows reports whether who is somebody: declared, anonymous, or an object's principal.
func (p *Policy) Knows(who object.Principal) bool {
	_, isObject := who.Object()
	_, declared := slices.BinarySearch(p.declared, who)
	return declared || isObject || who == object.Anonymous || p.permitted(who)
}

// CheckPrincipal returns an error for a name that is no principal under the policy. It names the nearest
// one, if one is near.
func (p *Policy) CheckPrincipal(who object.Principal) error {
	hinted := func(hint, format string, args ...any) error {
		if hint != "" {
			hint = "; " + hint
		}
		return errors.New(fmt.Sprintf(format, args...) + hint)
	}
	if id, isObject := who.Object(); isObject {
		if _, err := object.ParseID(string(id)); err != nil {
			return hinted("write object:<tenant>.<name>", "%q is no object's principal", who)
		}
		if !p.Serves(id.Tenant()) {
			var tenants []string
			for _, t := range p.Tenants {
				tenants = append(tenants, string(t))
			}
			return hinted(near(string(id.Tenant()), tenants), "the policy declares no tenant %q", id.Tenant())
		}
		return nil
	}
	if p.Knows(who) {
		return nil
	}
	names := []string{string(object.Anonymous)}
	for _, name := range p.declared {
		names = append(names, string(name))
		if slices.Contains(p.groupsOf[name], string(who)) {
			return hinted(fmt.Sprintf("name one of its members, such as %q", name), "%q is a group, not a principal", who)
		}
	}
	return hinted(near(string(who), names), "the policy declares no principal %q", who)
}

// Unmatched returns the patterns of rules that cover none of the objects, each with the
// rules that have it: `acme.countr in policy.hcl:12 permit "x"`. They may be of objects to
// come, or be wrong.
func (p *Policy) Unmatched(ids []object.ID) []string {
	var out []string
	for o, in := range p.patterns() {
		if !slices.ContainsFunc(ids, o.match) {
			out = append(out, o.String()+" in "+strings.Join(slices.Sorted(maps.Keys(in)), ", "))
		}
	}
	slices.Sort(out)
	return out
}
