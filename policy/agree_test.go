package policy_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/analysis"
)

// someFacts are the connection attributes of a query; "" is unknown.
type someFacts struct{ channel, address, at, uid string }

var someGiven = []someFacts{
	{},
	{channel: "tls", address: "10.1.2.3", at: "2026-11-23T09:30:00Z"}, // a Monday
	{channel: "tcp", address: "127.0.0.1", at: "2026-11-28T19:00:00Z", uid: "1000"},
	{channel: "unix", uid: "1001"},
	{channel: "hmac", address: "2001:db8::7"},
}

func (f someFacts) given(t *rapid.T) policy.Query {
	var g policy.Query
	for name, v := range map[string]string{"channel": f.channel, "address": f.address, "time": f.at, "uid": f.uid} {
		if v == "" {
			continue
		}
		if err := g.Set(name, v); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// someCondition is a condition and its meaning in Go. known is false if it cannot be evaluated.
type someCondition struct {
	text string
	eval func(w *world, who object.Principal, id object.ID, m object.Method, f someFacts) (holds, known bool)
}

// channelOf returns the channel that a condition reads: calls of objects have the channel "object".
func channelOf(who object.Principal, f someFacts) string {
	if isObject(who) {
		return "object"
	}
	return f.channel
}

func isObject(who object.Principal) bool { return len(who) > 7 && who[:7] == "object:" }

var someConditions = []someCondition{
	{`true`, func(*world, object.Principal, object.ID, object.Method, someFacts) (bool, bool) { return true, true }},
	{`object.name == "none.such"`, func(*world, object.Principal, object.ID, object.Method, someFacts) (bool,
		bool) {
		return false, true
	}},
	{`caller.channel == "tls"`, func(_ *world, who object.Principal, _ object.ID, _ object.Method, f someFacts) (bool,
		bool) {
		return channelOf(who, f) == "tls", channelOf(who, f) != ""
	}},
	{`caller.uid >= 1001`, func(_ *world, _ object.Principal, _ object.ID, _ object.Method, f someFacts) (bool, bool) {
		return f.uid == "1001", f.uid != ""
	}},
	{`in_network(caller.address, "10.0.0.0/8", "2001:db8::/32")`,
		func(_ *world, who object.Principal, _ object.ID, _ object.Method, f someFacts) (bool, bool) {
			return f.address == "10.1.2.3" || f.address == "2001:db8::7", f.address != "" && !isObject(who)
		}},
	{`time.of_day >= "09:00" && time.of_day < "18:00" && !contains(["saturday", "sunday"], time.weekday)`,
		func(_ *world, _ object.Principal, _ object.ID, _ object.Method, f someFacts) (bool, bool) {
			return f.at == "2026-11-23T09:30:00Z", f.at != ""
		}},
	{`time.now < "2026-11-25T00:00:00+01:00"`, func(_ *world, _ object.Principal, _ object.ID, _ object.Method,
		f someFacts) (bool, bool) {
		at, _ := time.Parse(time.RFC3339, f.at)
		return at.Day() == 23, f.at != ""
	}},
	{`method == "add" || contains(caller.groups, "staff")`,
		func(w *world, who object.Principal, _ object.ID, m object.Method, _ someFacts) (bool, bool) {
			return m == "add" || has(w.groups["staff"], string(who)), true
		}},
	{`object.tenant == "acme" && caller.principal != "bob"`,
		func(_ *world, who object.Principal, id object.ID, _ object.Method, _ someFacts) (bool, bool) {
			return id.Tenant() == "acme" && who != "bob", true
		}},
	{`caller.channel == "unix" || caller.address == "127.0.0.1"`,
		func(_ *world, who object.Principal, _ object.ID, _ object.Method, f someFacts) (bool, bool) {
			if channelOf(who, f) == "unix" {
				return true, true
			}
			return f.address == "127.0.0.1", channelOf(who, f) != "" && f.address != "" && !isObject(who)
		}},
	{`caller.tenant == object.tenant`, func(w *world, who object.Principal, id object.ID, _ object.Method,
		_ someFacts) (bool, bool) {
		return w.home(string(who)) == string(id.Tenant()), true
	}},
	{`startswith(object.name, "c") && endswith(object.id, "r")`,
		func(_ *world, _ object.Principal, id object.ID, _ object.Method, _ someFacts) (bool, bool) {
			return id == "acme.counter" || id == "other.counter" || id == "third.counter", true
		}},
}

// drawWorld draws groups, also nested ones, and owner tenants of principals.
func drawWorld(t *rapid.T) *world {
	w := &world{groups: map[string][]string{}, homes: map[string]string{}}
	var text strings.Builder
	text.WriteString("listener \"local\" { address = \"127.0.0.1:7766\" }\ntenant \"acme\" {}\ntenant \"other\" {}\n")
	for i, who := range []string{"alice", "bob", "owner"} {
		fmt.Fprintf(&text, "principal %q {\n uid = %d\n", who, 1000+i)
		if home := rapid.SampledFrom([]string{"", "acme", "other"}).Draw(t, "home"); home != "" {
			w.homes[who] = home
			fmt.Fprintf(&text, " tenant = %q\n", home)
		}
		text.WriteString("}\n")
	}
	may := somePrincipals
	for _, group := range []string{"staff", "both", "all"} {
		members := rapid.SliceOfNDistinct(rapid.SampledFrom(may), 1, 3, rapid.ID[string]).Draw(t, group)
		fmt.Fprintf(&text, "group %q { members = %s }\n", group, list(members))
		for _, m := range members {
			w.groups[group] = append(w.groups[group], m)
			w.groups[group] = append(w.groups[group], w.groups[m]...)
		}
		may = append([]string{group}, may...)
	}
	w.text = text.String()
	return w
}

// drawnLimit is a limit of the model.
type drawnLimit struct {
	name  string
	about drawn
}

// drawPolicy draws a world, and rules and limits in it.
func drawPolicy(t *rapid.T) (src string, rules []drawn, limits []drawnLimit) {
	w := drawWorld(t)
	rules = drawRules(t)
	var b strings.Builder
	b.WriteString(w.text)
	for i := range rules {
		rules[i].in = w
		rules[i].write(&b, i)
	}
	some := func(from []string, name string) []string {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(from), 1, 2, rapid.ID[string]).Draw(t, name)
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "limits") {
		l := drawnLimit{fmt.Sprintf("l%d", i), drawn{principals: some(someWho, "limited"),
			objects: some(someObjects, "limited objects"), in: w}}
		fmt.Fprintf(&b, "limit %q {\n principals = %s\n objects = %s\n rate = \"1/s\"\n}\n", l.name,
			list(l.about.principals), list(l.about.objects))
		limits = append(limits, l)
	}
	return b.String(), rules, limits
}

// limitsOf returns the names of the limits of a principal's calls of an object.
func limitsOf(limits []drawnLimit, who object.Principal, id object.ID) (out []string) {
	for _, l := range limits {
		if l.about.names(who) && matchesAny(l.about.objects, string(id)) {
			out = append(out, l.name)
		}
	}
	return out
}

func names(limits []*policy.Limit) (out []string) {
	for _, l := range limits {
		out = append(out, l.Name)
	}
	return out
}

// served are objects of declared tenants: each of someObjects matches one.
var served = []object.ID{"acme.counter", "acme.cart", "other.counter", "acme.shop.cart", "other.a.x"}

// TestAgree compares Decide, Explain, Visible, LimitsOf and Prove with a slow and simple model of the rules. A case is
// a query about a possible object and a callable method under one random policy.
func TestAgree(t *testing.T) {
	cases, permits, forbids, depends, crosses := 0, 0, 0, 0, 0
	ask := func(t *rapid.T) {
		src, rules, limits := drawPolicy(t)
		p := build(t, src)
		f := rapid.SampledFrom(someGiven).Draw(t, "facts")
		given := f.given(t)
		crossing := map[string]bool{}
		eachQuestion(func(who object.Caller, id object.ID, m object.Method) {
			want, unsure := model(rules, who.Principal, id, m, f)
			got := p.DecideQuery(who.Principal, given, id, m)
			if got.Permit != want {
				t.Fatalf("%s calling %s.%s, given %+v: %+v, want %v\n%s", who.Principal, id, m, f, got, want, src)
			}
			e := analysis.Explain(p, who.Principal, id, m)
			switch {
			case (e.Outcome == analysis.Depends) != unsure:
				t.Fatalf("%s calling %s.%s: explained as %+v, depends: %v\n%s", who.Principal, id, m, e, unsure, src)
			case e.Outcome == analysis.Permit != want && !unsure:
				t.Fatalf("%s calling %s.%s: explained as %+v, and decided as %+v\n%s", who.Principal, id, m, e, got,
					src)
			case unsure && len(e.Conditions) == 0:
				t.Fatalf("%s calling %s.%s depends on nothing: %+v\n%s", who.Principal, id, m, e, src)
			case want && !slices.Equal(names(got.Limits), limitsOf(limits, who.Principal, id)), !want &&
				got.Limits != nil:
				t.Fatalf("%s calling %s: limits %v, want %v\n%s", who.Principal, id, names(got.Limits),
					limitsOf(limits, who.Principal, id), src)
			}
			if ask(p, who, id, m).Permit && !p.Visible(who, id) {
				t.Fatalf("%s may call %s.%s and does not see it\n%s", who.Principal, id, m, src)
			}
			if !slices.Contains(served, id) || !attribute(m).Callable() {
				return
			}
			cases++
			switch {
			case unsure:
				depends++
			case want:
				permits++
			case strings.Contains(e.Reason, " forbid "):
				forbids++
			}
			if home := homeIn(rules, who.Principal); home != "" && home != string(id.Tenant()) {
				for _, rule := range reaching(rules, who.Principal, id, m) {
					crossing[rule] = true
				}
			}
		})
		proof := analysis.Prove(p, served)
		var said []string
		for _, reason := range proof.Crossing {
			said = append(said, reason[strings.IndexByte(reason, ' ')+1:])
		}
		slices.Sort(said)
		if want := slices.Sorted(maps.Keys(crossing)); proof.Counter != nil || !slices.Equal(said, want) {
			t.Fatalf("proved: %+v; want by %v\n%s", proof, want, src)
		}
		crosses += len(said)
	}
	for cases < 100_000 && !t.Failed() {
		rapid.Check(t, ask)
	}
	// Each outcome occurs often enough for the test to be meaningful.
	if least := cases / 200; permits < least || forbids < least || depends < least || crosses == 0 {
		t.Errorf("of %d cases %d are permits, %d forbids, %d depend; %d rules cross tenants", cases, permits, forbids,
			depends, crosses)
	}
	t.Logf("%d cases: %d permits, %d forbids, %d depend; %d rules cross tenants", cases, permits, forbids, depends,
		crosses)
}

// TestReach checks that AccessOf agrees with Explain and Decide, and that calls outside of its result are denied. It
// covers existing objects, and hypothetical ones for patterns without an object.
func TestReach(t *testing.T) {
	said := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		src, rules, _ := drawPolicy(t)
		p := build(t, src)
		f := rapid.SampledFrom(someGiven).Draw(t, "facts")
		given := f.given(t)
		ids := rapid.SliceOfDistinct(rapid.SampledFrom(served), rapid.ID[object.ID]).Draw(t, "objects")
		for _, name := range append([]string{"nobody", "object:acme.other"}, somePrincipals...) {
			who := object.Principal(name)
			always, now := analysis.AccessOf(p, who, nil, ids), analysis.AccessOf(p, who, &given, ids)
			for id, label := range listable(rules, who, ids) {
				for _, m := range []object.Method{"add", "total", "reset", "other", "total=", "other="} {
					e, d := analysis.Explain(p, who, id, m), p.DecideQuery(who, given, id, m)
					row, _ := listedAs(t, always, label, m)
					if row.Outcome != e.Outcome || row.Outcome == analysis.Permit && row.Reason != e.Reason ||
						!slices.Equal(row.Conditions, e.Conditions) {
						t.Fatalf("%s calling %s.%s is listed as %+v and explained as %+v: %+v\n%s", who, id, m, row,
							e, always, src)
					}
					said[string(row.Outcome)]++
					row, byName := listedAs(t, now, label, m)
					switch {
					case row.Outcome == analysis.Depends &&
						(e.Outcome != analysis.Depends || byName && label == string(id)):
						t.Fatalf("%s calling %s.%s, given %+v, is listed as %+v: it is settled\n%s", who, id, m, f,
							row, src)
					case row.Outcome == analysis.Depends:
						said["depends still"]++
					case (row.Outcome == analysis.Permit) != d.Permit:
						t.Fatalf("%s calling %s.%s, given %+v, is listed as %+v and decided as %+v\n%s", who, id, m,
							f, row, d, src)
					}
					if label != string(id) && row.Outcome != analysis.Deny {
						said["to come"]++
					}
				}
			}
		}
	})
	for _, what := range []string{"permit", "deny", "depends", "depends still", "to come"} {
		if said[what] == 0 {
			t.Errorf("nothing is listed as %s", what)
		}
	}
}

// listable returns the objects that a listing covers, with their labels: the existing ones, and one for each pattern
// that matches no object of a tenant and that no narrower pattern covers.
func listable(rules []drawn, who object.Principal, ids []object.ID) map[object.ID]string {
	out := map[object.ID]string{}
	for _, id := range ids {
		out[id] = string(id)
	}
	for _, d := range rules {
		for _, o := range d.objects {
			if o == "*" {
				o = "*.*"
			}
			for _, tenant := range []string{"acme", "other"} {
				home, name, _ := strings.Cut(o, ".")
				label := tenant + "." + name
				if !d.names(who) || home != "*" && home != tenant ||
					slices.ContainsFunc(ids, func(id object.ID) bool {
						return matchesAny([]string{label},
							string(id))
					}) {
					continue
				}
				out[object.ID(strings.ReplaceAll(label, "*", "Z.Z"))] = label
			}
		}
	}
	return out
}

// listedAs returns the entry of a listing for a call, and whether it names the method. A hypothetical object can have
// a label for every tenant.
func listedAs(t *rapid.T, list []analysis.Access, label string, m object.Method) (out analysis.Access, byName bool) {
	out.Outcome = analysis.Deny
	found := false
	for _, r := range list {
		_, name, _ := strings.Cut(label, ".")
		if !slices.Contains(r.Objects, label) && !slices.Contains(r.Objects, "*."+name) {
			continue
		}
		named := slices.Contains(r.Methods, m)
		if !named && (!slices.Contains(r.Methods, "*") || slices.Contains(r.Except, m)) {
			continue
		}
		if found {
			t.Fatalf("%s.%s is listed twice: %+v", label, m, list)
		}
		out, byName, found = r, named, true
	}
	return out, byName
}

// homeIn returns the owner tenant of a principal.
func homeIn(rules []drawn, who object.Principal) string {
	if len(rules) == 0 {
		return ""
	}
	return rules[0].in.home(string(who))
}

// reaching returns the permits that can permit a call under some attributes.
func reaching(rules []drawn, who object.Principal, id object.ID, m object.Method) (out []string) {
	for i, d := range rules {
		if !d.names(who) || !matchesAny(d.objects, string(id)) || !d.covers(string(m)) {
			continue
		}
		if d.forbid && d.when == nil {
			return nil
		}
		if !d.forbid {
			out = append(out, fmt.Sprintf("permit \"p%d\"", i))
		}
	}
	return out
}

// model decides by evaluating the rules one by one.
func model(rules []drawn, who object.Principal, id object.ID, m object.Method, f someFacts) (permit, depends bool) {
	if _, err := object.ParseID(string(id)); err != nil || !attribute(m).Callable() || id.Tenant() != "acme" &&
		id.Tenant() != "other" {
		return false, false
	}
	var forbidden, always, sometimes, unsure bool
	for _, d := range rules {
		if !d.names(who) || !matchesAny(d.objects, string(id)) || !d.covers(string(m)) {
			continue
		}
		holds, known := true, true
		if d.when != nil {
			holds, known = d.when.eval(d.in, who, id, attribute(m), f)
		}
		switch {
		case d.forbid && d.when == nil:
			return false, false
		case d.forbid:
			unsure = true
			forbidden = forbidden || holds || !known
		case d.when == nil:
			always, permit = true, true
		default:
			sometimes = true
			permit = permit || holds && known
		}
	}
	return permit && !forbidden, (always || sometimes) && (unsure || !always)
}

// TestProveFindsAll removes crosses_tenants from loaded permits. Prove must then find exactly the decisions that cross
// tenants.
func TestProveFindsAll(t *testing.T) {
	ids := served
	rapid.Check(t, func(t *rapid.T) {
		p := build(t, rebuild(drawRules(t)))
		before := analysis.Prove(p, ids)
		forgetCrossing(p)
		found := map[[3]string]bool{}
		for _, c := range analysis.Prove(p, ids).Counter {
			found[[3]string{string(c.Principal), string(c.Object), string(c.Method)}] = true
		}
		if (len(found) > 0) != (len(before.Crossing) > 0) {
			t.Fatalf("crossing %v, counter-examples %v", before.Crossing, found)
		}
		for _, c := range analysis.Prove(p, ids).Counter {
			m := c.Method
			if m == "*" {
				m = "other"
			}
			if c.Tenant == c.Object.Tenant() || !strings.Contains(c.Rule, " permit ") ||
				analysis.Explain(p, c.Principal, c.Object, m).Outcome == analysis.Deny {
				t.Fatalf("not a counter-example: %+v", c)
			}
		}
		for _, who := range append([]object.Principal{"object:acme.relay", "object:other.x"}, principalsOf(ids)...) {
			for _, id := range ids {
				for _, m := range []object.Method{"add", "total", "reset", "other", "total="} {
					crosses := object.ID(who[7:]).Tenant() != id.Tenant() &&
						analysis.Explain(p, who, id, m).Outcome != analysis.Deny
					if crosses && !anyClass(found, id, string(m)) && !anyClass(found, id, "*") {
						t.Fatalf("%s reaches %s.%s and no counterexample reports it: %v", who, id, m, found)
					}
				}
			}
		}
	})
}

// anyClass reports whether a counterexample is about an object or an equivalent one: here, one of its tenant.
func anyClass(found map[[3]string]bool, id object.ID, m string) bool {
	for c := range found {
		if object.ID(c[1]).Tenant() == id.Tenant() && c[2] == m {
			return true
		}
	}
	return false
}

func principalsOf(ids []object.ID) []object.Principal {
	var out []object.Principal
	for _, id := range ids {
		out = append(out, id.Principal())
	}
	return out
}

// TestDiff checks that two policies differ exactly where their explanations differ.
func TestDiff(t *testing.T) {
	ids := served
	rapid.Check(t, func(t *rapid.T) {
		a, b := build(t, rebuild(drawRules(t))), build(t, rebuild(drawRules(t)))
		changed := map[[3]string]analysis.Change{}
		for _, c := range analysis.Diff(a, b, ids) {
			for _, who := range c.Principals {
				for _, o := range c.Objects {
					for _, m := range c.Methods {
						changed[[3]string{string(who), o, string(m)}] = c
					}
				}
			}
		}
		for _, who := range append([]string{"nobody"}, somePrincipals...) {
			for _, id := range ids {
				for _, m := range someMethods {
					before, after := analysis.Explain(a, object.Principal(who), id,
						object.Method(m)), analysis.Explain(b, object.Principal(who), id, object.Method(m))
					c, listed := changed[[3]string{who, string(id), m}]
					if !listed && before.Outcome != after.Outcome { // one that no rule about the two names
						c, listed = changed[[3]string{who, string(id), "*"}]
					}
					if before.Outcome != after.Outcome && !listed {
						t.Fatalf("%s calling %s.%s: %s, then %s, and no change is listed", who, id, m, before.Outcome,
							after.Outcome)
					}
					if listed && (c.Before.Outcome != before.Outcome || c.After.Outcome != after.Outcome) {
						t.Fatalf("%s calling %s.%s: %s, then %s, listed as %+v", who, id, m, before.Outcome,
							after.Outcome, c)
					}
				}
			}
		}
		if d := analysis.Diff(a, a, ids); d != nil {
			t.Fatalf("a policy differs from itself: %+v", d)
		}
	})
}

// forgetCrossing clears crosses_tenants of every permit of a loaded policy, so that Prove finds counterexamples.
func forgetCrossing(p *policy.Policy) {
	for who := range p.Subjects {
		permits, _ := p.RulesAbout(who)
		for _, r := range permits {
			r.CrossesTenants = false
		}
	}
}
