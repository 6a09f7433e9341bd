package policy_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

const sample = `
scripts = "s"
listener "tcp" { address = "127.0.0.1:0" }
listener "sock" {
  address  = "unix:run/h.sock"
  identify = ["peer"]
}
principal "alice" { user = "alice" }
principal "bob" { uid = 1001 }
principal "me" { host_user = true }
tenant "acme" {}
tenant "other" {}
permit "alice counts" {
  principals = ["alice"]
  objects    = ["acme.counter"]
  methods    = ["add", "total"]
}
permit "bob supports" {
  principals = ["bob", "object:acme.relay"]
  objects    = ["acme.shop.*"]
  tracebacks = true
}
permit "anybody greets" {
  principals = ["anonymous", "alice"]
  objects    = ["*.hello"]
}
`

func lookup(name string) (uint32, error) {
	if name == "alice" {
		return 1000, nil
	}
	return 0, errors.New("no such account")
}

func parse(src string) (*policy.Policy, error) {
	return policy.Parse("policy.hcl", []byte(src), "/base", 7, lookup)
}

func must(t testing.TB, src string) *policy.Policy {
	t.Helper()
	p, err := parse(src)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDecide(t *testing.T) {
	p := must(t, sample)
	for _, tc := range []struct {
		who    object.Principal
		id     object.ID
		method object.Method
		permit bool
		trace  bool
	}{
		{"alice", "acme.counter", "add", true, false},
		{"alice", "acme.counter", "reset", false, false},
		{"alice", "acme.counters", "add", false, false},
		{"alice", "other.counter", "add", false, false},
		{"bob", "acme.counter", "add", false, false},
		{"bob", "acme.shop.cart", "buy", true, true},
		{"bob", "acme.shop.cart", "_buy", false, false},
		{"bob", "acme.shop.cart", "a.b", false, false},
		{"bob", "acme.shop", "buy", false, false},
		{"object:acme.relay", "acme.shop.cart", "buy", true, true},
		{"object:acme.other", "acme.shop.cart", "buy", false, false},
		{"anonymous", "other.hello", "hi", true, false},
		{"me", "acme.counter", "add", false, false},
		{"nobody", "acme.counter", "add", false, false},
		{"", "acme.counter", "add", false, false},
	} {
		d := p.Decide(object.Caller{Principal: tc.who}, tc.id, tc.method)
		if d.Permit != tc.permit || d.Traceback != tc.trace || d.Reason == "" {
			t.Errorf("Decide(%s, %s, %s) = %+v, want permit %v, traceback %v", tc.who, tc.id, tc.method, d, tc.permit, tc.trace)
		}
		if tc.permit && !strings.Contains(d.Reason, "policy.hcl:") {
			t.Errorf("reason %q does not say where", d.Reason)
		}
	}
}

func TestPrincipalIsProven(t *testing.T) {
	p := must(t, sample)
	for _, tc := range []struct {
		peer object.Peer
		want object.Principal
	}{
		{object.Peer{Way: "peer", UID: 1000}, "alice"},
		{object.Peer{Way: "peer", UID: 1001}, "bob"},
		{object.Peer{Way: "peer", UID: 7}, "me"},
		{object.Peer{Way: "peer", UID: 0}, object.Anonymous},
		{object.Peer{UID: 1000}, object.Anonymous},
		{object.Peer{}, object.Anonymous},
	} {
		if got := p.Principal(tc.peer); got != tc.want {
			t.Errorf("Principal(%+v) = %s, want %s", tc.peer, got, tc.want)
		}
	}
}

func TestErrorsSayWhereAndWhat(t *testing.T) {
	for _, tc := range []struct{ src, want string }{
		{`frobnicate "x" {}`, "policy.hcl:1:1: Unsupported block type"},
		{`tenants "acme" {}`, `Did you mean "tenant"?`},
		{`script = "x"`, `Did you mean "scripts"?`},
		{`listener "l" { adress = "x" }`, "policy.hcl:1:"},
		{`listener "l" {
  address = "127.0.0.1:0"
  identify = ["hmac"]
}`, `identify = "hmac"`},
		{`principal "x" {}`, "exactly one of user, uid and host_user"},
		{`principal "x" {
  uid = 1
  user = "alice"
}`, "exactly one of"},
		{`principal "x" { uid = -1 }`, "not a user id"},
		{`principal "x" { user = "nosuch" }`, `no account "nosuch"`},
		{`principal "anonymous" { uid = 1 }`, "is taken"},
		{"principal \"x\" { uid = 1 }\nprincipal \"y\" { uid = 1 }", `uid 1 is principal "x" already`},
		{"tenant \"a\" {}\ntenant \"a\" {}", "policy.hcl:2:1: tenant \"a\" is declared twice"},
		{`tenant "Pyro" {}`, "the host's own"},
		{"tenant \"a\" {}\npermit \"p\" {\n principals = [\"nobody\"]\n objects = [\"a.b\"]\n}", `there is no principal "nobody"`},
		{"permit \"p\" {\n principals = [\"anonymous\"]\n objects = [\"a.b\"]\n}", `there is no tenant "a"`},
		{"tenant \"a\" {}\npermit \"p\" {\n principals = [\"anonymous\"]\n objects = [\"a\"]\n}", "want <tenant>.<name>"},
		{"tenant \"a\" {}\npermit \"p\" {\n principals = [\"anonymous\"]\n objects = [\"a.b\"]\n methods = [\"_x\"]\n}", "can never be called"},
		{"tenant \"a\" {}\npermit \"p\" {\n principals = [\"object:zz\"]\n objects = [\"a.b\"]\n}", "want <tenant>.<name>"},
		{`permit {`, "policy.hcl:1:"},
	} {
		_, err := parse(tc.src)
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "policy.hcl:") {
			t.Errorf("%s\nerror = %v, want …%s…", tc.src, err, tc.want)
		}
	}
	_, err := parse("principal \"x\" {}\ntenant \"Pyro\" {}")
	if err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("error = %v, want both problems, a line each", err)
	}
}

func TestLoadResolvesPaths(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "policy.hcl")
	if err := os.WriteFile(path, []byte(`listener "s" { address = "unix:h.sock" }`), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := policy.Load(path, 7)
	if err != nil {
		t.Fatal(err)
	}
	if p.Scripts != filepath.Join(dir, "scripts") || p.Listeners[0].Address != "unix:"+filepath.Join(dir, "h.sock") {
		t.Errorf("scripts %s, address %s: want both in %s", p.Scripts, p.Listeners[0].Address, dir)
	}
	if _, err := policy.Load(filepath.Join(dir, "nosuch"), 7); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestShippedPolicyLoads(t *testing.T) {
	if _, err := policy.Load("../policy.hcl", os.Getuid()); err != nil {
		t.Error(err)
	}
}

func TestDefaultServesItsStarterAlone(t *testing.T) {
	p, err := policy.Default("/base", 7)
	if err != nil {
		t.Fatal(err)
	}
	who := func(uid uint32) object.Caller {
		return object.Caller{Principal: p.Principal(object.Peer{Way: "peer", UID: uid})}
	}
	if !p.Decide(who(7), "a.b", "m").Permit {
		t.Error("the starter is denied")
	}
	for _, uid := range []uint32{0, 8} {
		if p.Decide(who(uid), "a.b", "m").Permit || p.Visible(who(uid), "a.b") {
			t.Errorf("uid %d is permitted", uid)
		}
	}
	relay := object.Caller{Principal: "object:a.relay", Tenant: "a"}
	if !p.Decide(relay, "a.b", "m").Permit || p.Decide(relay, "c.b", "m").Permit {
		t.Error("objects call their own tenant's objects and no others")
	}
}

func TestDecideAllocatesNothing(t *testing.T) {
	p := must(t, sample)
	c := object.Caller{Principal: "bob"}
	if n := testing.AllocsPerRun(100, func() { p.Decide(c, "acme.shop.cart", "buy") }); n != 0 {
		t.Errorf("Decide allocates %v times", n)
	}
}

// TestOrderOfRulesMeansNothing permutes the rules of random policies.
func TestOrderOfRulesMeansNothing(t *testing.T) {
	const head = "principal \"a\" { uid = 1 }\nprincipal \"b\" { uid = 2 }\ntenant \"t\" {}\ntenant \"u\" {}\n"
	pick := func(rt *rapid.T, label string, from ...string) string { return rapid.SampledFrom(from).Draw(rt, label) }
	rapid.Check(t, func(rt *rapid.T) {
		var rules []string
		for i := range rapid.IntRange(0, 6).Draw(rt, "rules") {
			r := "permit \"" + string(rune('a'+i)) + "\" {\n principals = [\"" + pick(rt, "who", "a", "b", "anonymous", "object:t.x") +
				"\"]\n objects = [\"" + pick(rt, "what", "t.*", "t.x", "u.x*", "*.y") + "\"]\n"
			if rapid.Bool().Draw(rt, "some") {
				r += " methods = [\"" + pick(rt, "how", "m", "n") + "\"]\n"
			}
			rules = append(rules, r+"}\n")
		}
		shuffled := append([]string(nil), rules...)
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		p, q, less := must(t, head+strings.Join(rules, "")), must(t, head+strings.Join(shuffled, "")), must(t, head+strings.Join(rules[:len(rules)/2], ""))
		for _, who := range []object.Principal{"a", "b", "anonymous", "object:t.x", "stranger"} {
			for _, id := range []object.ID{"t.x", "t.y", "u.x", "u.xy", "v.y"} {
				for _, m := range []object.Method{"m", "n", "_m"} {
					c := object.Caller{Principal: who}
					got := p.Decide(c, id, m).Permit
					if got != q.Decide(c, id, m).Permit {
						rt.Fatalf("order matters for %s %s %s:\n%s", who, id, m, strings.Join(rules, ""))
					}
					if less.Decide(c, id, m).Permit && !got {
						rt.Fatalf("a further permit took something from %s %s %s", who, id, m)
					}
					if got && (who == "stranger" || m == "_m" || !p.Visible(c, id)) {
						rt.Fatalf("%s may %s %s", who, id, m)
					}
				}
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(sample)
	f.Add(`permit "p" { objects = [1] }`)
	f.Fuzz(func(t *testing.T, src string) {
		p, err := parse(src)
		if err == nil && p.Decide(object.Caller{Principal: "stranger"}, "a.b", "m").Permit {
			t.Error("a stranger is permitted")
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	p := must(b, sample)
	c := object.Caller{Principal: "bob"}
	b.ReportAllocs()
	for b.Loop() {
		p.Decide(c, "acme.shop.cart", "buy")
	}
}
