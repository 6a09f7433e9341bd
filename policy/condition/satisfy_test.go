package condition_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/condition"
	"github.com/hearthhost/hearth/policy/policyfile"
)

// ruled returns a policy in which a rule has a condition.
func ruled(kind, when string) string {
	return head + `timezone = "Europe/Berlin"
tenant "acme-eu" {}
principal "carol" {
  uid    = 1002
  tenant = "acme"
}
group "staff" { members = ["bob"] }
` + fmt.Sprintf("%s \"rule\" {\n  principals      = [\"staff\", \"carol\"]\n  objects         = [\"*\"]\n  when            = %s\n}\n", kind, when)
}

// TestConditionsThatNeverHold checks conditions that would make a forbid without effect. The error has the line and a
// hint.
func TestConditionsThatNeverHold(t *testing.T) {
	for _, tt := range []struct{ when, want string }{
		// Mistakes with an effect on security.
		{`time.of_day >= "22:00" && time.of_day < "06:00"`, `write time.of_day >= "22:00" || time.of_day < "06:00"`},
		{`object.id == "Acme.a"`, `did you mean "acme"?`},
		{`startswith(object.id, "amce.")`, `did you mean "acme"?`},
		{`caller.channel == "tls" && caller.channel == "hmac"`, "no value of caller.channel"},
		{`!(caller.channel != "tls" || caller.channel != "unix")`, "no value of caller.channel"},
		// Numbers and times.
		{`caller.uid < 1000 && caller.uid > 1000`, "no value of caller.uid"},
		{`caller.uid > 1000 && caller.uid < 1001`, "no value of caller.uid"},
		{`caller.uid == 1000.5`, "no value of caller.uid"},
		{`caller.uid < 0`, "no value of caller.uid"},
		{`caller.uid == 1 && 2 == caller.uid`, "no value of caller.uid"},
		{`time.now < "2027-01-31T06:00:00Z" && time.now >= "2027-01-31T06:00:00Z"`, "no value of time.now"},
		{`time.now < "2027-01-31T06:00:00+01:00" && "2027-01-31T05:00:00Z" < time.now`, "no value of time.now"},
		{`time.of_day < "00:00"`, "no value of time.of_day"},
		// Sets.
		{`contains(["saturday"], time.weekday) && time.weekday != "saturday"`, "no value of time.weekday"},
		{`caller.auth != "none" && !contains(["peer", "hmac", "cert", "pyro4-hmac", "bearer", "oidc", "webhook"], ` +
			`caller.auth)`, "no value of caller.auth"},
		{`object.tenant != "acme" && object.tenant != "other" && object.tenant != "acme-eu"`,
			"no value of object.tenant"},
		{`method == "add" && contains(["get", "set"], method)`, "no value of method"},
		{`object.tenant == "acme" && object.id == "other.a"`, "no value of object.id"},
		{`object.tenant == "acme" && startswith(object.id, "other.")`, "no value of object.tenant"},
		{`startswith(object.name, "a") && !startswith(object.name, "")`, "no value of object.name"},
		{`startswith(object.name, "ab") && startswith(object.name, "ac")`, "no value of object.name"},
		{`startswith(object.name, "ab") && !startswith(object.name, "a")`, "no value of object.name"},
		{`endswith(object.name, ".b") && endswith(object.name, ".c")`, "no value of object.name"},
		{`caller.cert.common_name == "a" && startswith(caller.cert.common_name, "b")`,
			"no value of caller.cert.common_name"},
		{`in_network(caller.address, "10.0.0.0/8") && in_network(caller.address, "192.0.2.0/24")`,
			"no value of caller.address"},
		{`in_network(caller.address, "10.1.0.0/16") && !in_network(caller.address, "10.0.0.0/8")`,
			"no value of caller.address"},
		{`caller.address == "10.1.2.3" && in_network(caller.address, "192.0.2.0/24", "2001:db8::/32")`,
			"no value of caller.address"},
		{`!in_network(caller.address, "0.0.0.0/0", "::/0")`, "no value of caller.address"},
		{`contains(caller.groups, "staff") && !contains(caller.groups, "staff")`, "never applies"},
		{`caller.tenant == object.tenant && object.tenant != caller.tenant`, "never applies"},
		{`caller.principal != caller.principal`, "never applies"},
		{`(caller.uid == 1) != (caller.uid == 1)`, "no value of caller.uid"},
		{`1 > 2`, "never applies"},
		{`false`, "never applies"},
		{`caller.uid == 1 && (caller.channel == "tls" && caller.channel == "tcp" || caller.uid == 2)`,
			"can never hold"},
		// Prefixes and suffixes that a variable never has.
		{`startswith(object.tenant, "b")`, "object.tenant never begins with"},
		{`!startswith(object.id, "acmee.")`, `did you mean "acme"?`},
		{`startswith(object.id, "acme.a..")`, "object.id never begins with"},
		{`endswith(object.name, "/b")`, "object.name never ends with"},
		{`startswith(method, "_")`, "method never begins with"},
		{`startswith(caller.principal, "alicf")`, "caller.principal never begins with"},
		{`startswith(caller.principal, "object:amce.")`, "caller.principal never begins with"},
		{`startswith(caller.address, "10.0.0.0/")`, "in_network(caller.address"},
		{`startswith(caller.channel, "TL")`, "caller.channel never begins with"},
		{`startswith(caller.cert.sha256, "AB")`, "caller.cert.sha256 never begins with"},
		{`endswith(time.weekday, "Day")`, "time.weekday never ends with"},
	} {
		when, want := tt.when, tt.want
		_, err := policyfile.Parse("policy.hcl", []byte(ruled("forbid", when)), "/base", hostUID, accounts)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n\terror %v\n\twant text %q", when, err, want)
			continue
		}
		line := 1 + strings.Count(strings.SplitN(ruled("forbid", when), "when  ", 2)[0], "\n")
		if !strings.HasPrefix(err.Error(), fmt.Sprintf("policy.hcl:%d:", line)) {
			t.Errorf("%s\n\terror %v, want it to name line %d", when, err, line)
		}
	}
}

// TestConditionsThatHold checks conditions that look contradictory but hold for some call.
func TestConditionsThatHold(t *testing.T) {
	for _, when := range []string{
		`time.of_day >= "22:00" || time.of_day < "06:00"`,
		`time.of_day >= "06:00" && time.of_day <= "06:00"`,
		`caller.uid >= 1000 && caller.uid <= 1000 && caller.uid != 999`,
		`caller.uid > 1000.5 && caller.uid < 1001.5`,
		`time.now >= "2027-01-31T06:00:00Z" && time.now <= "2027-01-31T07:00:00+01:00"`,
		`startswith(object.id, "acme") && object.tenant != "acme"`, // acme-eu
		`startswith(object.id, "acme.shop") && object.name == "shopping"`,
		`startswith(object.name, "aa") && endswith(object.name, "aa")`, // "aa" and "aaa"
		`startswith(object.id, "") && endswith(object.id, "")`,
		`startswith(caller.principal, "obj") || startswith(caller.principal, "object:acme.r")`,
		`startswith(caller.principal, "anon") || endswith(caller.principal, "ous")`,
		`startswith(caller.address, "10.") && in_network(caller.address, "10.1.0.0/16")`,
		`in_network(caller.address, "10.0.0.0/8") && !in_network(caller.address, "10.1.0.0/16")`,
		`in_network(caller.address, "10.0.0.0/8", "2001:db8::/32") && in_network(caller.address, "2001:db8:7::/48")`,
		`caller.tenant == object.tenant && caller.principal != "bob"`,
		`caller.tenant != "acme" && caller.tenant != "other" && caller.tenant != "acme-eu"`, // of no tenant
		`contains(caller.cert.dns, "a.example") && contains(caller.cert.dns, "b.example")`,
		`startswith("acme.shop", object.tenant) && !startswith("other.shop", object.tenant)`,
		`endswith(method, "9") && startswith(method, "a_")`,
	} {
		for _, kind := range []string{"permit", "forbid"} {
			if _, err := policyfile.Parse("policy.hcl", []byte(ruled(kind, when)), "/base", hostUID,
				accounts); err != nil {
				// A permit of all objects crosses tenants, which is another error.
				if !strings.Contains(err.Error(), "crosses_tenants") || strings.Contains(err.Error(), "when") {
					t.Errorf("a %s when %s: %v", kind, when, err)
				}
			}
		}
	}
}

// TestConditionWarnings checks the warnings about conditions that never hold for the rule's own objects, and about
// conditions that always hold.
func TestConditionWarnings(t *testing.T) {
	for when, want := range map[string]string{
		`object.tenant == "other"`:                            "never holds for the objects",
		`method == "reset" && caller.uid == 1`:                "never holds for the objects",
		`caller.channel != "tls" || caller.channel != "unix"`: "holds for every call",
		`caller.channel == "tls" && object.tenant == "acme"`:  "",
	} {
		p := mustParse(t,
			head+fmt.Sprintf("forbid \"rule\" {\n principals = [\"bob\"]\n objects = [\"acme.*\"]\n methods = "+
				"[\"add\", \"total=\"]\n when = %s\n}\n", when))
		if got := fmt.Sprint(p.Warnings); (want == "") != (len(p.Warnings) == 0) || !strings.Contains(got, want) {
			t.Errorf("%s: warnings %s, want %q", when, got, want)
		}
	}
}

// TestHardConditionIsTaken checks that the search ends, and accepts a condition that takes too long.
func TestHardConditionIsTaken(t *testing.T) {
	var parts []string
	for i := range 40 {
		parts = append(parts, fmt.Sprintf(`(caller.cert.common_name == "a%d" || caller.cert.common_name == "b%d")`, i,
			i))
	}
	when := strings.Join(parts, " && ")
	if _, err := policyfile.Parse("policy.hcl", []byte(ruled("forbid", when)), "/base", hostUID, accounts); err != nil {
		t.Errorf("a condition too hard to judge was refused: %v", err)
	}
}

// samples returns calls that cover, for each variable, every range that atoms of drawCondition distinguish.
func samples() (callers []object.Caller, ids []object.ID, methods []object.Method, times []time.Time) {
	for _, channel := range []string{"unix", "tcp", "tls", "hmac"} {
		for _, way := range []string{"", "peer", "cert"} {
			for _, address := range []string{"10.0.0.1", "10.1.0.1", "192.0.2.7", "2001:db8::1"} {
				for _, uid := range []uint32{0, 999, 1000, 1001, 1002} {
					if way != "peer" && uid > 0 {
						continue
					}
					c := object.Caller{Principal: "carol",
						Peer: object.Peer{Channel: channel, Auth: way, Addr: address + ":1", UID: uid}}
					if strings.Contains(address, ":") {
						c.Peer.Addr = "[" + address + "]:1"
					}
					if way == "cert" {
						c.Peer.Cert = &object.Certificate{CommonName: "shop.cart"}
					}
					callers = append(callers, c)
				}
			}
		}
	}
	berlin, _ := time.LoadLocation("Europe/Berlin")
	for day := 25; day <= 31; day++ {
		for _, hour := range []int{0, 5, 6, 7, 21, 22, 23} {
			for _, second := range []int{0, 1} {
				times = append(times, time.Date(2027, 1, day, hour, 0, second, 0, berlin))
			}
		}
	}
	return callers, []object.ID{"acme.shop", "acme.shop.cart", "acme-eu.shop", "other.cart",
		"other.shop"}, []object.Method{"add", "get", "reset"}, times
}

// drawCondition draws a condition of few atoms, so that contradictions are frequent.
func drawCondition(t *rapid.T, depth int) string {
	if depth > 0 {
		switch rapid.IntRange(0, 4).Draw(t, "op") {
		case 0:
			return "(" + drawCondition(t, depth-1) + " || " + drawCondition(t, depth-1) + ")"
		case 1, 2:
			return "(" + drawCondition(t, depth-1) + " && " + drawCondition(t, depth-1) + ")"
		case 3:
			return "!" + "(" + drawCondition(t, depth-1) + ")"
		}
	}
	one := func(name string, from ...string) string { return rapid.SampledFrom(from).Draw(t, name) }
	op := one("compare", "==", "!=", "<", "<=", ">", ">=")
	eq := one("equal", "==", "!=")
	sides := func(fact, op, value string) string {
		if rapid.Bool().Draw(t, "turned") {
			return value + " " + map[string]string{"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<",
				">=": "<="}[op] + " " + fact
		}
		return fact + " " + op + " " + value
	}
	part := one("part", "startswith", "endswith")
	switch rapid.IntRange(0, 12).Draw(t, "atom") {
	case 0:
		return sides("caller.uid", op, one("uid", "999", "1000", "1000.5", "1001"))
	case 1:
		return sides("time.of_day", op, one("clock", `"06:00"`, `"22:00"`, `"00:00"`))
	case 2:
		return sides("time.now", op, one("now", `"2027-01-28T06:00:00+01:00"`, `"2027-01-29T22:00:00+01:00"`))
	case 3:
		return sides("time.weekday", eq, one("day", `"friday"`, `"saturday"`, `"sunday"`))
	case 4:
		return sides("caller.channel", eq, one("channel", `"tls"`, `"tcp"`))
	case 5:
		return one("list", `contains(["tls", "hmac"], caller.channel)`, `contains(["add", "get"], method)`,
			`contains(["peer", "none"], caller.auth)`)
	case 6:
		return sides("method", eq, one("method", `"add"`, `"get"`))
	case 7:
		return sides("object.tenant", eq, one("tenant", `"acme"`, `"other"`))
	case 8:
		return sides("object.id", eq, one("id", `"acme.shop"`, `"other.cart"`))
	case 9:
		return part + "(object.name, " + one("name", `"shop"`, `"cart"`, `"s"`, `"t"`, `""`) + ")"
	case 10:
		return part + "(" + one("object", "object.id", "object.tenant") + ", " +
			one("fragment", `"acme"`, `"a"`, `"r"`, `"other"`) + ")"
	case 11:
		return one("network", `in_network(caller.address, "10.0.0.0/8")`,
			`in_network(caller.address, "10.1.0.0/16", "2001:db8::/32")`, `caller.address == "192.0.2.7"`)
	}
	return one("other", "true", "false", "caller.tenant == object.tenant", `contains(caller.groups, "staff")`,
		"object.name == caller.cert.common_name")
}

// TestSatisfiableIsTaken checks that no condition is rejected that holds for one of many sample calls.
func TestSatisfiableIsTaken(t *testing.T) {
	callers, ids, methods, times := samples()
	refused, taken := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		when := drawCondition(t, 3)
		_, err := policyfile.Parse("policy.hcl", []byte(ruled("forbid", when)), "/base", hostUID, accounts)
		if err == nil {
			taken++
			return
		}
		if !strings.Contains(err.Error(), "can never hold") {
			return // a fragment that no object has
		}
		refused++
		// The same with an alternative that no sample satisfies: it is accepted, and compiled in the same way.
		p, err2 := policyfile.Parse("policy.hcl", []byte(ruled("forbid",
			"("+when+`) || caller.cert.common_name == "none"`)), "/base", hostUID, accounts)
		if err2 != nil {
			t.Fatal(err2)
		}
		for i := range callers {
			for _, id := range ids {
				for _, m := range methods {
					if at := slices.IndexFunc(times,
						func(at time.Time) bool { return holds(p, &callers[i], id, m, at) }); at >= 0 {
						t.Fatalf("%s\nwas refused: %v\nand holds for %+v calling %s.%s at %s", when, err, callers[i],
							id, m, times[at])
					}
				}
			}
		}
	})
	t.Logf("%d conditions were refused, %d taken", refused, taken)
	if refused == 0 || taken == 0 {
		t.Error("the conditions that were drawn test one side only")
	}
}

// holds reports whether the condition of the policy's only forbid with a condition holds for a call at a time.
func holds(p *policy.Policy, caller *object.Caller, id object.ID, m object.Method, at time.Time) bool {
	env := condition.Environment{Groups: p.Groups, Owners: p.Owners, Zone: p.Zone}
	for who := range p.Subjects {
		_, forbids := p.RulesAbout(who)
		for _, r := range forbids {
			ctx := env.NewContext(caller, id, policy.BaseMethod(m), &at)
			defer ctx.Release()
			holds, err := r.When.Holds(ctx)
			return holds && err == nil
		}
	}
	panic("no forbid")
}
