package policy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hearthhost/hearth/object"
)

// rule is a compiled permit or forbid, shared by the subjects that it names.
type rule struct {
	name      string
	reason    string
	objects   []pattern
	methods   map[object.Method]struct{} // nil: every one
	when      *condition                 // nil: always
	forbids   bool
	traceback bool
	crosses   bool // it is meant to let principals reach other tenants' objects
}

// coversMethod reports whether the rule is about a method of this name. A forbid of an
// attribute is about setting it too; a permit of one is about reading it.
func (r *rule) coversMethod(m object.Method) bool {
	if r.methods == nil {
		return true
	}
	_, ok := r.methods[m]
	if base := named(m); !ok && r.forbids && base != m {
		_, ok = r.methods[base]
	}
	return ok
}

// setting is how rules name the setting of an attribute: "total=".
func setting(m object.Method) object.Method { return m + "=" }

// named is the method or attribute that something which rules name is about.
func named(m object.Method) object.Method {
	return object.Method(strings.TrimSuffix(string(m), "="))
}

// callable reports whether what rules may name can be called, read or set.
func callable(m object.Method) bool { return named(m).Callable() }

// coversObject reports whether the rule is about some method of id. A rule without any
// method cannot be written.
func (r *rule) coversObject(id object.ID) bool { return covers(r.objects, id) }

func covers(patterns []pattern, id object.ID) bool {
	for i := range patterns {
		if patterns[i].match(id) {
			return true
		}
	}
	return false
}

// pattern matches object ids: "acme.counter", "acme.shop.*", "*.status".
type pattern struct {
	tenant object.Tenant // "*" is any
	name   string        // of the rest; each '*' is any run of characters, dots included
}

// parsePattern reads a pattern. "*" alone is every object.
func parsePattern(s string) (pattern, error) {
	if s == "*" {
		s = "*.*"
	}
	tenant, name, ok := strings.Cut(s, ".")
	switch {
	case len(s) > object.MaxIDBytes:
		return pattern{}, errors.New("it is longer than an object's id may be")
	case !ok && object.ValidName(tenant):
		return pattern{}, fmt.Errorf("an object is <tenant>.<name>: for all of a tenant's write %q", tenant+".*")
	case tenant != "*" && strings.Contains(tenant, "*"):
		return pattern{}, errors.New("the tenant, before the first dot, is a name or \"*\" alone")
	case tenant != "*" && !object.ValidName(tenant):
		return pattern{}, errors.New("an object is <tenant>.<name>, of letters, digits, '_' and '-'")
	case strings.Contains(name, "**"):
		return pattern{}, errors.New("one '*' is any run of characters, dots included")
	}
	for part := range strings.SplitSeq(name, ".") {
		if part == "" || strings.ReplaceAll(part, "*", "") != "" && !object.ValidName(strings.ReplaceAll(part, "*", "")) {
			return pattern{}, errors.New("a name has parts of letters, digits, '_' and '-', joined by dots; '*' is any run of characters")
		}
	}
	return pattern{object.Tenant(tenant), name}, nil
}

// match reports whether id is one that p means.
func (p *pattern) match(id object.ID) bool {
	return (p.tenant == "*" || p.tenant == id.Tenant()) && glob(p.name, id.Name())
}

// Pattern matches the ids of objects, as the patterns of rules do.
type Pattern struct{ pattern pattern }

// ParsePattern reads a pattern as a rule has it: "acme.counter", "acme.*", "*". The error is a hint.
func ParsePattern(s string) (Pattern, error) {
	p, err := parsePattern(s)
	return Pattern{p}, err
}

// Match reports whether the pattern matches an id, which need not be well formed.
func (p *Pattern) Match(id object.ID) bool { return p.pattern.match(id) }

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

func (p pattern) String() string { return string(p.tenant) + "." + p.name }
