package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/policyfile"
)

var (
	somePrincipals = []string{"alice", "bob", "owner", "anonymous", "object:acme.relay", "object:other.x"}
	someGroups     = map[string][]string{"staff": {"alice", "bob"}, "both": {"alice", "object:acme.relay"},
		"all": {"alice", "bob", "owner", "anonymous"}}
	someWho     = append([]string{"staff", "both", "all"}, somePrincipals...)
	someObjects = []string{"acme.*", "acme.counter", "acme.c*", "*.counter", "other.*", "*.*", "*", "acme.shop.*",
		"other.*.x"}
	someIDs = []object.ID{"acme.counter", "acme.cart", "other.counter", "acme.shop.cart", "other.a.x",
		"third.counter", "Pyro.Daemon", "acme", "acme.a b"}
	someMethods = []string{"add", "total", "reset", "total="}
	someNames   = []object.Method{"add", "total", "reset", "other", "total=", "other=", "_x", "a.b", ""}
)

// someGroupsText declares someGroups, with one nested group.
const someGroupsText = `
group "all"   { members = ["staff", "owner", "anonymous"] }
group "staff" { members = ["alice", "bob"] }
group "both"  { members = ["alice", "object:acme.relay"] }
`

// drawn is a permit or forbid of the model: the lists of its text.
type drawn struct {
	forbid                       bool
	principals, objects, methods []string
	tracebacks                   bool
	when                         *someCondition // nil: none
	in                           *world
}

// world holds the groups of the model and the owner tenants of its principals.
type world struct {
	groups map[string][]string // principals of each group, including nested groups
	homes  map[string]string   // tenants of principals that belong to one
	text   string              // the file up to the rules
}

// plain is a world in which only objects have an owner tenant.
var plain = &world{someGroups, nil, head + someGroupsText}

// home returns the owner tenant of a principal, or "".
func (w *world) home(who string) string {
	if id, ok := strings.CutPrefix(who, "object:"); ok {
		return string(object.ID(id).Tenant())
	}
	return w.homes[who]
}

func drawPermits(t *rapid.T) []drawn {
	some := func(from []string, least int, name string) []string {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(from), least, 3, rapid.ID[string]).Draw(t, name)
	}
	out := make([]drawn, rapid.IntRange(0, 5).Draw(t, "permits"))
	for i := range out {
		out[i] = drawn{rapid.IntRange(0, 3).Draw(t, "forbid") == 0, some(someWho, 1, "principals"),
			some(someObjects, 1, "objects"),
			some(someMethods, 0, "methods"), rapid.Bool().Draw(t, "tracebacks"), nil, plain}
	}
	return out
}

// drawRules is drawPermits with conditions.
func drawRules(t *rapid.T) []drawn {
	out := drawPermits(t)
	for i := range out {
		if n := rapid.IntRange(-len(someConditions), len(someConditions)-1).Draw(t, "when"); n >= 0 {
			out[i].when = &someConditions[n]
		}
	}
	return out
}

// text returns the text of permits in an order.
func text(permits []drawn, order []int) string {
	var b strings.Builder
	b.WriteString(plain.text)
	for _, i := range order {
		permits[i].write(&b, i)
	}
	return b.String()
}

func list(s []string) string { return `["` + strings.Join(s, `", "`) + `"]` }

// write appends the text of a rule, named by its number.
func (d *drawn) write(b *strings.Builder, i int) {
	p := d
	kind := "permit"
	if p.forbid {
		kind = "forbid"
	}
	fmt.Fprintf(b, "%s \"p%d\" {\n principals = %s\n objects = %s\n", kind, i, list(p.principals), list(p.objects))
	if len(p.methods) > 0 {
		fmt.Fprintf(b, " methods = %s\n", list(p.methods))
	}
	if p.when != nil {
		fmt.Fprintf(b, " when = %s\n", p.when.text)
	}
	if !p.forbid {
		fmt.Fprintf(b, " tracebacks = %v\n", p.tracebacks)
		if p.crosses() {
			b.WriteString(" crosses_tenants = true\n")
		}
	}
	b.WriteString("}\n")
}

func build(t *rapid.T, src string) *policy.Policy {
	p, err := policyfile.Parse("policy.hcl", []byte(src), "/base", hostUID, accounts)
	if err != nil {
		t.Fatalf("%v\n%s", err, src)
	}
	return p
}

// eachQuestion calls f with every query of the model.
func eachQuestion(f func(who object.Caller, id object.ID, m object.Method)) {
	for _, who := range append([]string{"nobody", "", "object:acme.other"}, somePrincipals...) {
		for _, id := range someIDs {
			for _, m := range someNames {
				f(caller(object.Principal(who)), id, m)
			}
		}
	}
}

// ask decides on a call, or on setting an attribute, by the name in a rule.
func ask(p *policy.Policy, who object.Caller, id object.ID, m object.Method) policy.Decision {
	if a := attribute(m); a != m {
		return p.DecideSet(who, id, a)
	}
	return p.Decide(who, id, m)
}

// attribute returns m, or the attribute of a setter.
func attribute(m object.Method) object.Method {
	return object.Method(strings.TrimSuffix(string(m), "="))
}

// covers reports whether a rule is about a method, "" being all of them: a forbid of an
// attribute is about setting it too.
func (d *drawn) covers(m string) bool {
	return len(d.methods) == 0 || m != "" && (has(d.methods, m) || d.forbid &&
		has(d.methods, string(attribute(object.Method(m)))))
}

func inOrder(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// name returns the permit of a reason, without its line.
func name(d policy.Decision) string {
	_, after, _ := strings.Cut(d.Reason, " ")
	return after
}

func TestOrderMeansNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		permits := drawRules(t)
		order := rapid.Permutation(inOrder(len(permits))).Draw(t, "order")
		a, b := build(t, text(permits, inOrder(len(permits)))), build(t, text(permits, order))
		eachQuestion(func(who object.Caller, id object.ID, m object.Method) {
			x, y := ask(a, who, id, m), ask(b, who, id, m)
			if x.Permit != y.Permit || x.Traceback != y.Traceback || name(x) != name(y) {
				t.Fatalf("Decide(%s, %s.%s) = %+v, in another order %+v", who.Principal, id, m, x, y)
			}
			if a.Visible(who, id) != b.Visible(who, id) {
				t.Fatalf("Visible(%s, %s) depends on the order", who.Principal, id)
			}
		})
	})
}

// TestModel compares decisions with a slow and simple model of the permits.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		permits := drawPermits(t)
		p := build(t, text(permits, inOrder(len(permits))))
		eachQuestion(func(who object.Caller, id object.ID, m object.Method) {
			var permit, trace, visible, known bool
			denied := func(m string) bool {
				for _, d := range permits {
					if d.forbid && d.names(who.Principal) && matchesAny(d.objects, string(id)) && d.covers(m) {
						return true
					}
				}
				return false
			}
			for _, d := range permits {
				if d.forbid || !d.names(who.Principal) {
					continue
				}
				known = true
				if id.Tenant() != "acme" && id.Tenant() != "other" {
					continue
				}
				if _, err := object.ParseID(string(id)); err != nil || !matchesAny(d.objects, string(id)) {
					continue
				}
				visible = visible || len(d.methods) == 0 && !denied("") ||
					slices.ContainsFunc(d.methods, func(m string) bool { return !denied(m) })
				if attribute(m).Callable() && !denied(string(m)) && d.covers(string(m)) {
					permit, trace = true, trace || d.tracebacks
				}
			}
			got := ask(p, who, id, m)
			if got.Permit != permit || got.Traceback != trace || p.Visible(who, id) != visible ||
				p.Known(who.Principal) != known {
				t.Fatalf("%s, %s.%s: %+v, visible %v, known %v; want %v, traceback %v, visible %v, known %v",
					who.Principal, id, m,
					got, p.Visible(who, id), p.Known(who.Principal), permit, trace, visible, known)
			}
			if got.Permit && !p.Visible(who, id) {
				t.Fatalf("%s may call %s and does not see it", who.Principal, id)
			}
		})
	})
}

// crosses reports whether a permit names an object and lets it reach beyond its tenant.
func (d *drawn) crosses() bool {
	return slices.ContainsFunc(somePrincipals, func(who string) bool {
		home := d.in.home(who)
		return home != "" && d.names(object.Principal(who)) &&
			slices.ContainsFunc(d.objects, func(o string) bool { return !strings.HasPrefix(o, home+".") })
	})
}

// TestNobodyCrosses removes crosses_tenants from permits that need it. They must not load, and without them no
// principal reaches another tenant.
func TestNobodyCrosses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		permits := drawPermits(t)
		text := text(permits, inOrder(len(permits)))
		_, err := policyfile.Parse("policy.hcl", []byte(strings.ReplaceAll(text, " crosses_tenants = true\n", "")),
			"/base", hostUID, accounts)
		needed := slices.ContainsFunc(permits, func(d drawn) bool { return !d.forbid && d.crosses() })
		if (err != nil) != needed {
			t.Fatalf("needed %v: %v", needed, err)
		}
		within := slices.DeleteFunc(permits, func(d drawn) bool { return !d.forbid && d.crosses() })
		p := build(t, rebuild(within))
		eachQuestion(func(who object.Caller, id object.ID, m object.Method) {
			from, isObject := strings.CutPrefix(string(who.Principal), "object:")
			if d := ask(p, who, id, m); d.Permit && isObject && object.ID(from).Tenant() != id.Tenant() {
				t.Fatalf("%s reaches %s.%s: %s", who.Principal, id, m, d.Reason)
			}
		})
	})
}

func rebuild(permits []drawn) string { return text(permits, inOrder(len(permits))) }

// names reports whether a rule names a principal, directly or by a group.
func (d *drawn) names(p object.Principal) bool {
	return slices.ContainsFunc(d.principals, func(who string) bool {
		return who == string(p) ||
			has(d.in.groups[who], string(p))
	})
}

// TestForbidNeverWidens adds a forbid to a policy. No principal may call or see more afterwards.
func TestForbidNeverWidens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := append(drawRules(t), drawRules(t)...)
		without := slices.DeleteFunc(slices.Clone(rules),
			func(d drawn) bool { return d.forbid && rapid.Bool().Draw(t, "left out") })
		more, less := build(t, text(without, inOrder(len(without)))), build(t, text(rules, inOrder(len(rules))))
		eachQuestion(func(who object.Caller, id object.ID, m object.Method) {
			a, b := ask(more, who, id, m), ask(less, who, id, m)
			if b.Permit && !a.Permit || b.Traceback && !a.Traceback || less.Visible(who, id) && !more.Visible(who, id) {
				t.Fatalf("a forbid lets %s more: %s.%s, %+v instead of %+v", who.Principal, id, m, b, a)
			}
		})
	})
}

func has(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}

// matchesAny tries every split of id between the stars of a pattern.
func matchesAny(patterns []string, id string) bool {
	var match func(p, s string) bool
	match = func(p, s string) bool {
		if p == "" {
			return s == ""
		}
		if p[0] != '*' {
			return s != "" && s[0] == p[0] && match(p[1:], s[1:])
		}
		for i := range len(s) + 1 {
			if match(p[1:], s[i:]) {
				return true
			}
		}
		return false
	}
	for _, p := range patterns {
		if p == "*" {
			return true
		}
		pt, pn, _ := strings.Cut(p, ".")
		it, in, _ := strings.Cut(id, ".")
		if (pt == "*" || pt == it) && match(pn, in) {
			return true
		}
	}
	return false
}

func TestNoPermitNothing(t *testing.T) {
	p := mustParse(t, head)
	eachQuestion(func(who object.Caller, id object.ID, m object.Method) {
		if d := p.Decide(who, id, m); d.Permit || d.Traceback || p.Visible(who, id) || p.Known(who.Principal) {
			t.Errorf("Decide(%s, %s.%s) = %+v without a permit", who.Principal, id, m, d)
		}
	})
}

// TestUnknownReachesNothing checks that a principal without a permit is denied every call.
func TestUnknownReachesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		permits := drawPermits(t)
		p := build(t, text(permits, inOrder(len(permits))))
		who := object.Principal(rapid.OneOf(rapid.String(), rapid.SampledFrom(somePrincipals)).Draw(t, "who"))
		for _, d := range permits {
			if d.names(who) {
				t.Skip("named")
			}
		}
		id := object.ID(rapid.OneOf(rapid.String(), rapid.StringMatching(`(acme|other)\.[a-z.*]{1,9}`)).Draw(t, "id"))
		m := object.Method(rapid.OneOf(rapid.String(), rapid.SampledFrom(someMethods)).Draw(t, "method"))
		if d := p.Decide(caller(who), id, m); d.Permit || d.Traceback || p.Visible(caller(who), id) || p.Known(who) {
			t.Fatalf("Decide(%q, %q.%q) = %+v", who, id, m, d)
		}
	})
}

// FuzzParse checks that no text crashes the reader, that every error has a position, and that a valid policy denies
// the calls that are always denied.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", head, rules, "scripts = ", "permit \"x\" {", `a = "${`, "listener local {}",
		head + `permit "p" { principals = ["nobody"] }`, "\xef\xbb\xbf" + head, head + "scripts = <<E\nx\nE\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		p, err := policyfile.Parse("policy.hcl", src, "/base", hostUID, accounts)
		if err != nil {
			if p != nil {
				t.Fatal("a policy and an error")
			}
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.HasPrefix(line, "policy.hcl:") {
					t.Errorf("a line without a place: %q", line)
				}
			}
			return
		}
		if p.AllTenants {
			t.Errorf("loaded: %+v", p)
		}
		for _, tenant := range p.Tenants {
			if !p.Serves(tenant) || !object.ValidName(string(tenant)) || tenant == "Pyro" {
				t.Errorf("tenant %q", tenant)
			}
		}
		eachQuestion(func(who object.Caller, id object.ID, m object.Method) {
			d := p.Decide(who, id, m)
			if d.Permit && (!m.Callable() || !p.Serves(id.Tenant()) || !p.Known(who.Principal) || !p.Visible(who, id)) {
				t.Errorf("Decide(%s, %s.%s) = %+v", who.Principal, id, m, d)
			}
		})
		if peer := (object.Peer{}); p.Principal(peer) != object.Anonymous {
			t.Error("the zero peer is identified")
		}
	})
}
