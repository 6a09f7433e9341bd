package policy

import (
	"errors"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/object"
)

// rule is a compiled permit or forbid, shared by the principals that it names.
type rule struct {
	name      string
	reason    string
	objects   []pattern
	methods   map[object.Method]struct{} // nil: every one
	traceback bool
}

// covers reports whether the rule is about method m of id.
func (r *rule) covers(id object.ID, m object.Method) bool {
	if r.methods != nil {
		if _, ok := r.methods[m]; !ok {
			return false
		}
	}
	return r.coversObject(id)
}

// coversObject reports whether the rule is about some method of id. A rule without any
// method cannot be written.
func (r *rule) coversObject(id object.ID) bool {
	for i := range r.objects {
		if r.objects[i].match(id) {
			return true
		}
	}
	return false
}

// leaves reports whether forbids leave a method of id that the rule permits.
func (r *rule) leaves(id object.ID, forbids []*rule) bool {
	if r.methods == nil {
		// Names of methods are without number: only a forbid of all of them leaves none.
		return !slices.ContainsFunc(forbids, func(f *rule) bool { return f.methods == nil && f.coversObject(id) })
	}
	for m := range r.methods {
		if !slices.ContainsFunc(forbids, func(f *rule) bool { return f.covers(id, m) }) {
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
		return pattern{}, errors.New("an object is <tenant>.<name>: for all of a tenant's write \"" + tenant + ".*\"")
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

// match reports whether id, which is well formed, is one that p means.
func (p *pattern) match(id object.ID) bool {
	return (p.tenant == "*" || p.tenant == id.Tenant()) && glob(p.name, id.Name())
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
