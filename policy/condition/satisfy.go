package condition

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hearthhost/hearth/object"
)

// A forbid whose condition never holds has no effect. Compile therefore also builds a formula over the comparisons,
// and searches for a choice of them without contradiction. The search is incomplete: it accepts a condition that it
// cannot decide. It never rejects a condition that can hold.

// formula is the logical structure of a condition over its comparisons. Exactly one field is set.
type formula struct {
	truth *bool      // a constant
	all   []*formula // all hold
	any   []*formula // at least one holds
	not   *formula
	atom  *atom
}

func fixedTruth(b bool) *formula { return &formula{truth: &b} }

func allOf(parts ...*formula) *formula { return &formula{all: parts} }

func anyOf(parts ...*formula) *formula { return &formula{any: parts} }

func negated(f *formula, yes bool) *formula {
	if yes {
		return &formula{not: f}
	}
	return f
}

// opaque returns a comparison without known values. Two of the same parts are equal.
func opaque(parts ...string) *formula { return &formula{atom: &atom{key: strings.Join(parts, "\x00")}} }

// memberOf states that a variable has one of the listed values.
func memberOf(attr string, list ...string) *formula {
	return &formula{atom: &atom{attr: attr, oneOf: list}}
}

// atom is one comparison. It restricts one variable, or has a key: two atoms with one key are both true or both false.
type atom struct {
	attr string
	key  string

	// Restrictions of strings; at most one is set.
	oneOf          []string
	prefix, suffix *string
	networks       []netip.Prefix
	// Restrictions of numbers and points in time. The function is constant below, at and above the point.
	number   func(float64) bool
	numberAt float64
	moment   func(time.Time) bool
	momentAt time.Time
}

// literal is an atom that must hold, or must not hold if not is set.
type literal struct {
	*atom
	not bool
}

// maxChoices bounds the choices that a search tries.
const maxChoices = 1 << 10

// search looks for a choice of comparisons that can be true together.
type search struct {
	tenants  []string // declared tenants
	choices  int
	conflict string // variable with contradicting comparisons, of the first choice
}

// never reports whether a formula can never be true. attr is a variable whose comparisons contradict each other; "" if
// several variables do.
func (c *compiler) never(f *formula) (attr string, yes bool) {
	s := &search{tenants: c.decl.Tenants()}
	if s.possible([]*formula{f}, nil) {
		return "", false
	}
	return s.conflict, true
}

// possible reports whether the remaining formulas can be true together with the chosen literals.
func (s *search) possible(left []*formula, chosen []literal) bool {
	for len(left) > 0 {
		f, not := left[0], false
		left = left[1:]
		for f.not != nil {
			f, not = f.not, !not
		}
		parts, choose := f.all, not
		if f.any != nil {
			parts, choose = f.any, !not
		}
		switch {
		case f.truth != nil:
			if *f.truth == not {
				return false
			}
		case f.atom != nil:
			chosen = append(slices.Clip(chosen), literal{f.atom, not})
		case !choose:
			left = slices.Clip(left)
			for _, part := range parts {
				left = append(left, negated(part, not))
			}
		default:
			for _, part := range parts {
				if s.choices++; s.choices > maxChoices ||
					s.possible(append(slices.Clip(left), negated(part, not)), chosen) {
					return true
				}
			}
			return false
		}
	}
	return s.consistent(chosen)
}

// consistent reports whether literals can be true together. It returns true if it cannot decide.
func (s *search) consistent(chosen []literal) bool {
	byAttr := map[string][]literal{}
	keys := map[string]bool{}
	for _, l := range chosen {
		if l.attr != "" {
			byAttr[l.attr] = append(byAttr[l.attr], l)
			continue
		}
		if before, ok := keys[l.key]; ok && before != l.not {
			return false
		}
		keys[l.key] = l.not
	}
	relate(byAttr)
	for _, attr := range slices.Sorted(maps.Keys(byAttr)) {
		if !s.holds(attr, byAttr) {
			if s.conflict == "" {
				s.conflict = attr
			}
			return false
		}
	}
	return true
}

// relate adds literals for the tenant and name of an object from prefixes of its id.
func relate(byAttr map[string][]literal) {
	for _, l := range byAttr["object.id"] {
		if l.not || l.prefix == nil {
			continue
		}
		tenant, name, whole := strings.Cut(*l.prefix, ".")
		if !whole {
			byAttr["object.tenant"] = append(byAttr["object.tenant"], literal{atom: &atom{prefix: &tenant}})
			continue
		}
		byAttr["object.tenant"] = append(byAttr["object.tenant"], literal{atom: &atom{oneOf: []string{tenant}}})
		if family, key, keyed := strings.Cut(name, ":"); keyed {
			byAttr["object.name"] = append(byAttr["object.name"], literal{atom: &atom{oneOf: []string{family}}})
			byAttr["object.key"] = append(byAttr["object.key"], literal{atom: &atom{prefix: &key}})
			continue
		}
		byAttr["object.name"] = append(byAttr["object.name"], literal{atom: &atom{prefix: &name}})
	}
}

// holds reports whether some value of a variable satisfies its literals.
func (s *search) holds(attr string, byAttr map[string][]literal) bool {
	literals := byAttr[attr]
	switch variables[attr].kind { //nolint:exhaustive // other kinds have candidates
	case numberKind:
		return numberFits(literals, math.MaxUint32)
	case clockKind:
		return numberFits(literals, secondsPerDay-1)
	case momentKind:
		return momentFits(literals)
	}
	candidates := s.values(attr)
	for _, l := range literals {
		if !l.not && l.oneOf != nil {
			candidates = l.oneOf
			break
		}
	}
	if candidates == nil {
		return textFits(literals)
	}
	return slices.ContainsFunc(candidates, func(v string) bool {
		if !allHold(literals, v) || attr == "object.tenant" && !slices.Contains(s.values(attr), v) {
			return false
		}
		id := object.ID(v)
		return attr != "object.id" || allHold(byAttr["object.tenant"], string(id.Tenant())) &&
			allHold(byAttr["object.name"], id.Family().Name()) && allHold(byAttr["object.key"], id.Key())
	})
}

const secondsPerDay = 24 * 60 * 60

// values returns all values of a variable; nil if they cannot be listed.
func (s *search) values(attr string) []string {
	if values := variables[attr].values; values != nil {
		return values
	}
	if attr != "object.tenant" && attr != "caller.tenant" {
		return nil
	}
	out := slices.Clone(s.tenants)
	if attr == "caller.tenant" {
		out = append(out, "")
	}
	return out
}

// numberFits reports whether an integer from 0 to most satisfies the literals. They are constant between the numbers
// that they name.
func numberFits(literals []literal, most float64) bool {
	points := []float64{0, most}
	for _, l := range literals {
		at := math.Floor(l.numberAt)
		points = append(points, at-1, at, at+1, at+2)
	}
	return slices.ContainsFunc(points, func(n float64) bool {
		return n >= 0 && n <= most && !slices.ContainsFunc(literals,
			func(l literal) bool { return l.number(n) == l.not })
	})
}

// momentFits reports whether a point in time satisfies the literals.
func momentFits(literals []literal) bool {
	return slices.ContainsFunc(literals, func(at literal) bool {
		return slices.ContainsFunc([]time.Duration{-1, 0, 1}, func(d time.Duration) bool {
			now := at.momentAt.Add(d)
			return !slices.ContainsFunc(literals, func(l literal) bool { return l.moment(now) == l.not })
		})
	})
}

// allHold reports whether a string satisfies the literals.
func allHold(literals []literal, v string) bool {
	for _, l := range literals {
		if l.holds(v) == l.not {
			return false
		}
	}
	return true
}

// holds reports whether a string satisfies the comparison.
func (a *atom) holds(v string) bool {
	switch {
	case a.oneOf != nil:
		return slices.Contains(a.oneOf, v)
	case a.prefix != nil:
		return strings.HasPrefix(v, *a.prefix)
	case a.suffix != nil:
		return strings.HasSuffix(v, *a.suffix)
	}
	ip, err := netip.ParseAddr(v)
	return err == nil && inside(ip, a.networks)
}

// everywhere are the networks of all addresses.
var everywhere = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}

// textFits reports whether a string satisfies the literals, none of which lists all valid strings. It returns true if
// it cannot decide.
func textFits(literals []literal) bool {
	var prefix, suffix string
	networks := everywhere
	for _, l := range literals {
		switch {
		case l.not:
		case l.prefix != nil && len(*l.prefix) > len(prefix):
			prefix = *l.prefix
		case l.suffix != nil && len(*l.suffix) > len(suffix):
			suffix = *l.suffix
		case l.networks != nil:
			networks = common(networks, l.networks)
		}
	}
	for _, l := range literals {
		switch {
		case l.prefix != nil && strings.HasPrefix(prefix, *l.prefix) == l.not,
			l.suffix != nil && strings.HasSuffix(suffix, *l.suffix) == l.not:
			return false
		case l.networks != nil && l.not:
			networks = slices.DeleteFunc(slices.Clone(networks), func(n netip.Prefix) bool {
				return slices.ContainsFunc(l.networks, func(wide netip.Prefix) bool { return contains(wide, n) })
			})
		}
	}
	return len(networks) > 0
}

// contains reports whether every address of narrow is in wide.
func contains(wide, narrow netip.Prefix) bool {
	return wide.Bits() <= narrow.Bits() && wide.Contains(narrow.Addr())
}

// maxPairs bounds the work of comparing two lists of networks.
const maxPairs = 1 << 20

// common returns the networks of the addresses in both lists; for two very long lists those of the first.
func common(a, b []netip.Prefix) (out []netip.Prefix) {
	if len(a)*len(b) > maxPairs {
		return a
	}
	for _, x := range a {
		for _, y := range b {
			switch {
			case contains(x, y):
				out = append(out, y)
			case contains(y, x):
				out = append(out, x)
			}
		}
	}
	return out
}

// neverHint returns a hint for comparisons of a variable that exclude each other.
func neverHint(attr string) string {
	switch attr {
	case "":
		return "remove the rule, or correct the condition"
	case "time.of_day":
		return `for a span over midnight write time.of_day >= "22:00" || time.of_day < "06:00"`
	}
	if v, _ := lookupVariable(attr); v.kind == textKind {
		return fmt.Sprintf("write || between alternative values, or contains([…], %s)", attr)
	}
	return "write || between alternative ranges"
}

// inside reports whether an address is in one of the networks.
func inside(ip netip.Addr, networks []netip.Prefix) bool {
	ip = ip.Unmap().WithZone("")
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(ip) })
}
