package policy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy/condition"
)

// Rule is a permit or a forbid. The subjects that it names share it.
type Rule struct {
	Name           string
	Reason         string
	Objects        []Pattern
	Methods        map[object.Method]struct{} // nil: every method
	When           *condition.Condition       // nil: no condition
	Forbids        bool
	Tracebacks     bool
	CrossesTenants bool // may permit calls of other tenants' objects
}

// coversMethod reports whether the rule covers a method. A forbid of an attribute also forbids to set it; a permit of
// an attribute only permits to read it.
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

// Setter returns the name by which rules permit or forbid to set an attribute: "total=".
func Setter(m object.Method) object.Method { return m + "=" }

// BaseMethod returns the method or attribute of a name in a rule: "total" for "total=".
func BaseMethod(m object.Method) object.Method {
	return object.Method(strings.TrimSuffix(string(m), "="))
}

// Callable reports whether a name in a rule can be called, read or set.
func Callable(m object.Method) bool { return BaseMethod(m).Callable() }

// coversObject reports whether the rule covers some method of id. Every rule has at least one method.
func (r *Rule) coversObject(id object.ID) bool { return covers(r.Objects, id) }

func covers(patterns []Pattern, id object.ID) bool {
	for i := range patterns {
		if patterns[i].Match(id) {
			return true
		}
	}
	return false
}

// Pattern matches object ids: "acme.counter", "acme.shop.*", "*.status", "acme.cart:*".
//
// A key is chosen by the caller. So the '*' of a name never matches a part of it: a pattern covers the instances of a
// keyed object if it has a pattern of keys after ':', or if it matches the object's id and ends with '*', which then
// covers every key.
type Pattern struct {
	Tenant object.Tenant // "*": any tenant
	Name   string        // the rest of the id; '*' is any run of characters, dots included
}

// ParsePattern parses a pattern as a rule has it: "acme.counter", "acme.*", "*". The error is a hint.
func ParsePattern(s string) (Pattern, error) {
	if s == "*" {
		s = "*.*"
	}
	tenant, name, ok := strings.Cut(s, ".")
	switch {
	case len(s) > object.MaxIDBytes:
		return Pattern{}, fmt.Errorf("use at most %d bytes", object.MaxIDBytes)
	case !ok && object.ValidName(tenant):
		return Pattern{}, fmt.Errorf("write <tenant>.<name>, or %q for all objects of the tenant", tenant+".*")
	case tenant != "*" && strings.Contains(tenant, "*"):
		return Pattern{}, errors.New("the part before the first dot is the name of a tenant, or only \"*\"")
	case tenant != "*" && !object.ValidName(tenant):
		return Pattern{}, errors.New("write <tenant>.<name>, with letters, digits, '_' and '-'")
	case strings.Contains(name, "**"):
		return Pattern{}, errors.New("write one '*': it matches any run of characters, dots included")
	}
	name, keys, keyed := strings.Cut(name, ":")
	if keyed && !validKeyPattern(keys) {
		return Pattern{}, errors.New("write a key or '*' after the ':', as in \"acme.cart:*\"")
	}
	for part := range strings.SplitSeq(name, ".") {
		letters := strings.ReplaceAll(part, "*", "")
		if part == "" || letters != "" && !object.ValidName(letters) {
			return Pattern{}, errors.New("write letters, digits, '_', '-' and '*', in parts with dots between them")
		}
	}
	if keyed {
		name += ":" + keys
	}
	return Pattern{object.Tenant(tenant), name}, nil
}

// validKeyPattern reports whether a pattern can match a key.
func validKeyPattern(s string) bool {
	letters := strings.ReplaceAll(s, "*", "")
	if letters == "" {
		return s != ""
	}
	return object.ValidKey("a"+letters[:len(letters)-1]) && object.ValidKey("a"+letters[1:]) &&
		(s[0] == '*' || object.ValidKey(letters[:1]))
}

// Match reports whether the pattern matches id, which may be malformed.
func (p *Pattern) Match(id object.ID) bool {
	family, key, keyed := id.Split()
	if p.Tenant != "*" && p.Tenant != family.Tenant() {
		return false
	}
	if !keyed {
		return glob(p.Name, family.Name())
	}
	name, keys, keyPattern := strings.Cut(p.Name, ":")
	if !keyPattern {
		return strings.HasSuffix(name, "*") && glob(name, family.Name())
	}
	return glob(name, family.Name()) && glob(keys, key)
}

// Example returns the id of an instance of a keyed object that the pattern matches, as few others as possible match it.
func (p *Pattern) Example(family object.ID) (object.ID, bool) {
	_, keys, keyPattern := strings.Cut(p.Name, ":")
	if !keyPattern {
		keys = "*"
	}
	id := family.WithKey(strings.ReplaceAll(keys, "*", unlikelyKey))
	return id, object.ValidKey(id.Key()) && p.Match(id)
}

// unlikelyKey is a key that few patterns match.
const unlikelyKey = "0~any~0"

// glob matches s, with '*' in p as any run of bytes, including none. It backtracks to the last '*' only and takes at
// most len(p)·len(s) steps.
func glob(p, s string) bool {
	pi, si := 0, 0      // positions in p and s
	star, from := -1, 0 // position of the last star in p, and start of the rest of s
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
