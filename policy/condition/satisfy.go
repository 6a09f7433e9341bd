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

// A condition that can never hold makes a forbid that forbids nothing, silently. Compiling a
// condition therefore also builds a formula over its comparisons, and a search looks for one
// choice of them that does not contradict itself. It gives up, and takes the condition, where it
// cannot tell: a condition that can hold is never refused.

// formula is what a condition states. Exactly one of its parts is used.
type formula struct {
	truth *bool      // a fixed value
	all   []*formula // each holds
	any   []*formula // one holds
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

// opaque is a comparison of which nothing is known but its text.
func opaque(parts ...string) *formula { return &formula{atom: &atom{key: strings.Join(parts, "\x00")}} }

func memberOf(fact string, list ...string) *formula {
	return &formula{atom: &atom{fact: fact, oneOf: list}}
}

// atom is one comparison. It is about one fact, or only known by its key: two atoms of one key are
// both true or both false.
type atom struct {
	fact string
	key  string

	// Of texts; one is used.
	oneOf          []string
	prefix, suffix *string
	networks       []netip.Prefix
	// Of numbers and points in time; the function is constant between the points.
	number   func(float64) bool
	numberAt float64
	moment   func(time.Time) bool
	momentAt time.Time
}

// literal is an atom that must hold, or must not.
type literal struct {
	*atom
	not bool
}

// maxChoices bounds the choices that a search tries.
const maxChoices = 1 << 10

// search looks for a choice of comparisons that can be true together.
type search struct {
	tenants []string // declared tenants
	choices int
	blame   string // the fact whose comparisons contradict each other, of the first choice
}

// never reports whether a formula can never be true, and a fact of which no value satisfies it, if it is
// about one fact alone.
func (c *compiler) never(f *formula) (fact string, yes bool) {
	s := &search{tenants: c.decl.Tenants()}
	if s.possible([]*formula{f}, nil) {
		return "", false
	}
	return s.blame, true
}

// possible reports whether all that is left can be true together with what was chosen.
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
				if s.choices++; s.choices > maxChoices || s.possible(append(slices.Clip(left), negated(part, not)), chosen) {
					return true
				}
			}
			return false
		}
	}
	return s.consistent(chosen)
}

// consistent reports whether literals can be true together. It errs to true.
func (s *search) consistent(chosen []literal) bool {
	facts := map[string][]literal{}
	keys := map[string]bool{}
	for _, l := range chosen {
		if l.fact != "" {
			facts[l.fact] = append(facts[l.fact], l)
			continue
		}
		if before, ok := keys[l.key]; ok && before != l.not {
			return false
		}
		keys[l.key] = l.not
	}
	relate(facts)
	for _, fact := range slices.Sorted(maps.Keys(facts)) {
		if !s.holds(fact, facts) {
			if s.blame == "" {
				s.blame = fact
			}
			return false
		}
	}
	return true
}

// relate adds what the beginning of an object's id means for its tenant and name.
func relate(facts map[string][]literal) {
	for _, l := range facts["object.id"] {
		if l.not || l.prefix == nil {
			continue
		}
		tenant, name, whole := strings.Cut(*l.prefix, ".")
		if !whole {
			facts["object.tenant"] = append(facts["object.tenant"], literal{atom: &atom{prefix: &tenant}})
			continue
		}
		facts["object.tenant"] = append(facts["object.tenant"], literal{atom: &atom{oneOf: []string{tenant}}})
		facts["object.name"] = append(facts["object.name"], literal{atom: &atom{prefix: &name}})
	}
}

// holds reports whether some value of a fact satisfies its literals.
func (s *search) holds(fact string, facts map[string][]literal) bool {
	literals := facts[fact]
	switch variables[fact].kind { //nolint:exhaustive // the others need nothing
	case numberKind:
		return numberFits(literals, math.MaxUint32)
	case clockKind:
		return numberFits(literals, secondsPerDay-1)
	case momentKind:
		return momentFits(literals)
	}
	candidates := s.values(fact)
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
		if !allHold(literals, v) || fact == "object.tenant" && !slices.Contains(s.values(fact), v) {
			return false
		}
		id := object.ID(v)
		return fact != "object.id" || allHold(facts["object.tenant"], string(id.Tenant())) && allHold(facts["object.name"], id.Name())
	})
}

const secondsPerDay = 24 * 60 * 60

// values returns all the values that a fact can have, nil if they cannot be listed.
func (s *search) values(fact string) []string {
	if values := variables[fact].values; values != nil {
		return values
	}
	if fact != "object.tenant" && fact != "caller.tenant" {
		return nil
	}
	out := slices.Clone(s.tenants)
	if fact == "caller.tenant" {
		out = append(out, "")
	}
	return out
}

// numberFits reports whether a whole number from 0 to most satisfies the literals. Between the numbers
// that they name, all of them are constant.
func numberFits(literals []literal, most float64) bool {
	points := []float64{0, most}
	for _, l := range literals {
		at := math.Floor(l.numberAt)
		points = append(points, at-1, at, at+1, at+2)
	}
	return slices.ContainsFunc(points, func(n float64) bool {
		return n >= 0 && n <= most && !slices.ContainsFunc(literals, func(l literal) bool { return l.number(n) == l.not })
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

// allHold reports whether a text satisfies the literals.
func allHold(literals []literal, v string) bool {
	for _, l := range literals {
		if l.holds(v) == l.not {
			return false
		}
	}
	return true
}

// holds reports whether a text is what the atom compares it with.
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

// textFits reports whether a text satisfies the literals, none of which lists all that do.
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

// contains reports whether every address of the second network is in the first.
func contains(wide, narrow netip.Prefix) bool {
	return wide.Bits() <= narrow.Bits() && wide.Contains(narrow.Addr())
}

// maxPairs bounds the work of comparing two lists of networks.
const maxPairs = 1 << 20

// common returns the networks of the addresses that are in both lists; of two very long lists, those of
// the first.
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

// neverHint returns the next thing to do about comparisons of a fact that exclude each other.
func neverHint(fact string) string {
	switch fact {
	case "":
		return "remove the rule, or correct the condition"
	case "time.of_day":
		return `for a span over midnight write time.of_day >= "22:00" || time.of_day < "06:00"`
	}
	if variables[fact].kind == textKind {
		return fmt.Sprintf("write || between values of which one is enough, or contains([…], %s)", fact)
	}
	return "write || between ranges of which one is enough"
}

// inside reports whether an address is in one of the networks.
func inside(ip netip.Addr, networks []netip.Prefix) bool {
	ip = ip.Unmap().WithZone("")
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(ip) })
}
