package policy_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// someFacts are what may be given of a caller; "" is not known.
type someFacts struct{ channel, address, at, uid string }

var someGiven = []someFacts{
	{},
	{channel: "tls", address: "10.1.2.3", at: "2026-11-23T09:30:00Z"}, // a Monday
	{channel: "tcp", address: "127.0.0.1", at: "2026-11-28T19:00:00Z", uid: "1000"},
	{channel: "unix", uid: "1001"},
	{channel: "hmac", address: "2001:db8::7"},
}

func (f someFacts) given(t *rapid.T) policy.Given {
	var g policy.Given
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

// someCondition is a condition and what it means, said the slow way. known is false if it
// cannot be decided.
type someCondition struct {
	text string
	eval func(who object.Principal, id object.ID, m object.Method, f someFacts) (holds, known bool)
}

// channelOf is the channel that a condition sees: calls of objects have one of their own.
func channelOf(who object.Principal, f someFacts) string {
	if isObject(who) {
		return "object"
	}
	return f.channel
}

func isObject(who object.Principal) bool { return len(who) > 7 && who[:7] == "object:" }

var someConditions = []someCondition{
	{`true`, func(object.Principal, object.ID, object.Method, someFacts) (bool, bool) { return true, true }},
	{`!(1 == 1)`, func(object.Principal, object.ID, object.Method, someFacts) (bool, bool) { return false, true }},
	{`caller.channel == "tls"`, func(who object.Principal, _ object.ID, _ object.Method, f someFacts) (bool, bool) {
		return channelOf(who, f) == "tls", channelOf(who, f) != ""
	}},
	{`caller.uid >= 1001`, func(_ object.Principal, _ object.ID, _ object.Method, f someFacts) (bool, bool) {
		return f.uid == "1001", f.uid != ""
	}},
	{`in_network(caller.address, "10.0.0.0/8", "2001:db8::/32")`, func(who object.Principal, _ object.ID, _ object.Method, f someFacts) (bool, bool) {
		return f.address == "10.1.2.3" || f.address == "2001:db8::7", f.address != "" && !isObject(who)
	}},
	{`time.of_day >= "09:00" && time.of_day < "18:00" && !contains(["saturday", "sunday"], time.weekday)`,
		func(_ object.Principal, _ object.ID, _ object.Method, f someFacts) (bool, bool) {
			return f.at == "2026-11-23T09:30:00Z", f.at != ""
		}},
	{`time.now < "2026-11-25T00:00:00+01:00"`, func(_ object.Principal, _ object.ID, _ object.Method, f someFacts) (bool, bool) {
		at, _ := time.Parse(time.RFC3339, f.at)
		return at.Day() == 23, f.at != ""
	}},
	{`method == "add" || contains(caller.groups, "staff")`, func(who object.Principal, _ object.ID, m object.Method, _ someFacts) (bool, bool) {
		return m == "add" || who == "alice" || who == "bob", true
	}},
	{`object.tenant == "acme" && caller.principal != "bob"`, func(who object.Principal, id object.ID, _ object.Method, _ someFacts) (bool, bool) {
		return id.Tenant() == "acme" && who != "bob", true
	}},
	{`caller.channel == "unix" || caller.address == "127.0.0.1"`, func(who object.Principal, _ object.ID, _ object.Method, f someFacts) (bool, bool) {
		if channelOf(who, f) == "unix" {
			return true, true
		}
		return f.address == "127.0.0.1", channelOf(who, f) != "" && f.address != "" && !isObject(who)
	}},
	{`caller.tenant == object.tenant`, func(who object.Principal, id object.ID, _ object.Method, _ someFacts) (bool, bool) {
		return isObject(who) && object.ID(who[7:]).Tenant() == id.Tenant(), true
	}},
	{`startswith(object.name, "c") && endswith(object.id, "r")`, func(_ object.Principal, id object.ID, _ object.Method, _ someFacts) (bool, bool) {
		return id == "acme.counter" || id == "other.counter" || id == "third.counter", true
	}},
}

// TestAgree compares what Decide, Explain, Prove and Diff say with a reading of the rules
// that is slow and obvious, in more than 100,000 cases.
func TestAgree(t *testing.T) {
	cases := 0
	rapid.Check(t, func(t *rapid.T) {
		rules := drawRules(t)
		p := build(t, rebuild(rules))
		f := rapid.SampledFrom(someGiven).Draw(t, "facts")
		given := f.given(t)
		eachQuestion(func(who object.Caller, id object.ID, m object.Method) {
			cases += 3
			want, depends := model(rules, who.Principal, id, m, f)
			got := p.DecideGiven(who.Principal, given, id, m)
			if got.Permit != want {
				t.Fatalf("%s calling %s.%s, given %+v: %+v, want %v", who.Principal, id, m, f, got, want)
			}
			e := p.Explain(who.Principal, id, m)
			switch {
			case (e.Outcome == policy.Depends) != depends:
				t.Fatalf("%s calling %s.%s: explained as %+v, depends: %v", who.Principal, id, m, e, depends)
			case e.Outcome == policy.Permit != want && !depends:
				t.Fatalf("%s calling %s.%s: explained as %+v, and decided as %+v", who.Principal, id, m, e, got)
			case depends && len(e.Conditions) == 0:
				t.Fatalf("%s calling %s.%s depends on nothing: %+v", who.Principal, id, m, e)
			}
		})
		if proof := p.Prove(someIDs); proof.Counter != nil {
			t.Fatalf("a policy that loads crosses tenants: %+v", proof)
		}
	})
	if cases < 100_000 {
		t.Errorf("%d cases", cases)
	}
}

// model decides by reading the rules one by one.
func model(rules []drawn, who object.Principal, id object.ID, m object.Method, f someFacts) (permit, depends bool) {
	if _, err := object.ParseID(string(id)); err != nil || !m.Callable() || id.Tenant() != "acme" && id.Tenant() != "other" {
		return false, false
	}
	var forbidden, always, sometimes, unsure bool
	for _, d := range rules {
		if !d.names(who) || !matchesAny(d.objects, string(id)) || len(d.methods) > 0 && !has(d.methods, string(m)) {
			continue
		}
		holds, known := true, true
		if d.when != nil {
			holds, known = d.when.eval(who, id, m, f)
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

// TestProveFindsAll takes the word from permits that say that they cross, after loading:
// then Prove must find each decision by which somebody crosses, and no other.
func TestProveFindsAll(t *testing.T) {
	ids := []object.ID{"acme.counter", "acme.cart", "other.counter", "acme.shop.cart", "other.a.x"}
	rapid.Check(t, func(t *rapid.T) {
		p := build(t, rebuild(drawRules(t)))
		before := p.Prove(ids)
		policy.ForgetCrossing(p)
		found := map[[3]string]bool{}
		for _, c := range p.Prove(ids).Counter {
			found[[3]string{string(c.Principal), string(c.Object), string(c.Method)}] = true
		}
		if (len(found) > 0) != (len(before.Crossing) > 0) {
			t.Fatalf("crossing %v, counter-examples %v", before.Crossing, found)
		}
		for _, who := range append([]object.Principal{"object:acme.relay", "object:other.x"}, principalsOf(ids)...) {
			for _, id := range ids {
				for _, m := range []object.Method{"add", "total", "reset", "other"} {
					crosses := object.ID(who[7:]).Tenant() != id.Tenant() && p.Explain(who, id, m).Outcome != policy.Deny
					if crosses && !anyClass(found, id, string(m)) && !anyClass(found, id, "*") {
						t.Fatalf("%s reaches %s.%s and no counter-example says so: %v", who, id, m, found)
					}
				}
			}
		}
	})
}

// anyClass reports whether a counter-example is about an object or one that rules cannot
// tell from it, which here means of its tenant.
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

// TestDiff: two policies differ where their explanations do, and nowhere else.
func TestDiff(t *testing.T) {
	ids := []object.ID{"acme.counter", "acme.cart", "other.counter", "acme.shop.cart", "other.a.x"}
	rapid.Check(t, func(t *rapid.T) {
		a, b := build(t, rebuild(drawRules(t))), build(t, rebuild(drawRules(t)))
		changed := map[[3]string]policy.Change{}
		for _, c := range policy.Diff(a, b, ids) {
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
					before, after := a.Explain(object.Principal(who), id, object.Method(m)), b.Explain(object.Principal(who), id, object.Method(m))
					c, listed := changed[[3]string{who, string(id), m}]
					if !listed && before.Outcome != after.Outcome { // one that no rule about the two names
						c, listed = changed[[3]string{who, string(id), "*"}]
					}
					if before.Outcome != after.Outcome && !listed {
						t.Fatalf("%s calling %s.%s: %s, then %s, and no change is listed", who, id, m, before.Outcome, after.Outcome)
					}
					if listed && (c.Before.Outcome != before.Outcome || c.After.Outcome != after.Outcome) {
						t.Fatalf("%s calling %s.%s: %s, then %s, listed as %+v", who, id, m, before.Outcome, after.Outcome, c)
					}
				}
			}
		}
		if d := policy.Diff(a, a, ids); d != nil {
			t.Fatalf("a policy differs from itself: %+v", d)
		}
	})
}
