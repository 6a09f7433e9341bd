package policy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy/condition"
)

// Rule is a compiled permit or forbid, shared by the subjects that it names.
type Rule struct {
	Name           string
	Reason         string
	Objects        []Pattern
	Methods        map[object.Method]struct{} // nil: every one
	When           *condition.Condition       // nil: always
	Forbids        bool
	Tracebacks     bool
	CrossesTenants bool // it is meant to let principals reach other tenants' objects
}

// coversMethod reports whether the rule is about a method of this name. A forbid of an
// attribute is about setting it too; a permit of one is about reading it.
func (r *Rule) coversMethod(m object.Method) bool {
	if r.Methods == nil {
		return true
	}
	_, ok := r.Methods[m]
	if base := BaseMethod(m); !ok && r.Forbids && base != m {
		_, ok = r.Methods[base]
	}
	return ok
}

// Setter is how rules name the setting of an attribute: "total=".
func Setter(m object.Method) object.Method { return m + "=" }

// BaseMethod is the method or attribute that something which rules name is about.
func BaseMethod(m object.Method) object.Method {
	return object.Method(strings.TrimSuffix(string(m), "="))
}

// Callable reports whether what rules may name can be called, read or set.
func Callable(m object.Method) bool { return BaseMethod(m).Callable() }

// coversObject reports whether the rule is about some method of id. A rule without any
// method cannot be written.
func (r *Rule) coversObject(id object.ID) bool { return covers(r.Objects, id) }

func covers(patterns []Pattern, id object.ID) bool {
	for i := range patterns {
		if patterns[i].Match(id) {
			return true
		}
	}
	return false
}

// Pattern matches object ids: "acme.counter", "acme.shop.*", "*.status".
type Pattern struct {
	Tenant object.Tenant // "*" is any
	Name   string        // of the rest; each '*' is any run of characters, dots included
}

// ParsePattern reads a pattern. "*" alone is every object.
func ParsePattern(s string) (Pattern, error) {
	if s == "*" {
		s = "*.*"
	}
	tenant, name, ok := strings.Cut(s, ".")
	switch {
	case len(s) > object.MaxIDBytes:
		return Pattern{}, errors.New("it is longer than an object's id may be")
	case !ok && object.ValidName(tenant):
		return Pattern{}, fmt.Errorf("an object is <tenant>.<name>: for all of a tenant's write %q", tenant+".*")
	case tenant != "*" && strings.Contains(tenant, "*"):
		return Pattern{}, errors.New("the tenant, before the first dot, is a name or \"*\" alone")
	case tenant != "*" && !object.ValidName(tenant):
		return Pattern{}, errors.New("an object is <tenant>.<name>, of letters, digits, '_' and '-'")
	case strings.Contains(name, "**"):
		return Pattern{}, errors.New("one '*' is any run of characters, dots included")
	}
	for part := range strings.SplitSeq(name, ".") {
		if part == "" || strings.ReplaceAll(part, "*", "") != "" && !object.ValidName(strings.ReplaceAll(part, "*", "")) {
			return Pattern{}, errors.New("a name has parts of letters, digits, '_' and '-', joined by dots; '*' is any run of characters")
		}
	}
	return Pattern{object.Tenant(tenant), name}, nil
}

// Match reports whether the pattern covers id, which need not be well formed.
func (p *Pattern) Match(id object.ID) bool {
	return (p.Tenant == "*" || p.Tenant == id.Tenant()) && glob(p.Name, id.Name())
}

// glob matches s with '*' in p as any run of bytes, the empty one included. It goes back
// to the last '*' only, so it takes len(p)·len(s) steps at most.
func glob(p, s string) bool {
	pi, si, star, from := 0, 0, -1, 0
	for si < len(s) {
		switch {
		case pi < len(p) && p[pi] == '*':
			star, from = pi, si
			pi++
		case pi < len(p) && p[pi] == s[si]:
			pi++
			si++
		case star >= 0:
			from++
			pi, si = star+1, from
		default:
			return false
		}
	}
	for pi < len(p) && p[pi] == '*' {
		pi++
	}
	return pi == len(p)
}

func (p Pattern) String() string { return string(p.Tenant) + "." + p.Name }
