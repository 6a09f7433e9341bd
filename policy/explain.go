package policy

import (
	"maps"
	"slices"

	"github.com/hearthhost/hearth/object"
)

// RuleInfo is what a permit or forbid says, for people.
type RuleInfo struct {
	Reason  string   `json:"rule"` // `policy.hcl:14 permit "staff may read"`
	Forbid  bool     `json:"forbid"`
	Objects []string `json:"objects"`           // patterns
	Methods []string `json:"methods,omitempty"` // sorted; nil: every one
}

// RulesOf returns the rules about a principal, forbids first, each kind by name.
func (p *Policy) RulesOf(who object.Principal) []RuleInfo {
	var out []RuleInfo
	for _, r := range p.forbids[who] {
		out = append(out, r.info(true))
	}
	for _, r := range p.rules[who] {
		out = append(out, r.info(false))
	}
	return out
}

func (r *rule) info(forbid bool) RuleInfo {
	i := RuleInfo{Reason: r.reason, Forbid: forbid}
	for _, o := range r.objects {
		i.Objects = append(i.Objects, string(o.tenant)+"."+o.name)
	}
	if r.methods != nil {
		for m := range r.methods {
			i.Methods = append(i.Methods, string(m))
		}
		slices.Sort(i.Methods)
	}
	return i
}

// Subjects returns every principal that a permit names, sorted: nobody else may anything,
// but for objects that call their siblings under the built-in policy.
func (p *Policy) Subjects() []object.Principal { return slices.Sorted(maps.Keys(p.rules)) }
