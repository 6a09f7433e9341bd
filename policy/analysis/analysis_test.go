package analysis_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/analysis"
	"github.com/hearthhost/hearth/policy/policyfile"
)

const shop = `
listener "local" { address = "127.0.0.1:7766" }
principal "alice" {
  uid    = 1000
  tenant = "acme"
}
principal "bob" { uid = 1001 }
tenant "acme" {}
tenant "other" {}
permit "count" {
  principals = ["alice"]
  objects    = ["acme.counter", "acme.new-*"]
}
permit "by TLS" {
  principals = ["bob"]
  objects    = ["acme.counter"]
  methods    = ["add"]
  when       = caller.channel == "tls"
}
forbid "reset" {
  principals = ["alice"]
  objects    = ["acme.counter"]
  methods    = ["reset"]
}
`

// ids are the existing objects.
var ids = []object.ID{"acme.counter", "other.counter"}

func parse(t *testing.T, src string) *policy.Policy {
	t.Helper()
	p, err := policyfile.Parse("policy.hcl", []byte(src), "/base", 500, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestExplain(t *testing.T) {
	p := parse(t, shop)
	for _, tt := range []struct {
		who     object.Principal
		id      object.ID
		method  object.Method
		outcome analysis.Outcome
		text    string
	}{
		{"alice", "acme.counter", "add", analysis.Permit, `permit "count"`},
		{"alice", "acme.counter", "reset", analysis.Deny, `forbid "reset"`},
		{"alice", "other.counter", "add", analysis.Deny, policy.DenyNoRule},
		{"bob", "acme.counter", "add", analysis.Depends, `when caller.channel == "tls"`},
		{"carol", "acme.counter", "add", analysis.Deny, policy.DenyUnknown},
		{"alice", "acme.counter", "_add", analysis.Deny, policy.DenyMethod},
		{"alice", "none.counter", "add", analysis.Deny, policy.DenyObject},
	} {
		e := analysis.Explain(p, tt.who, tt.id, tt.method)
		if e.Outcome != tt.outcome || !strings.Contains(e.Reason+strings.Join(e.Conditions, " "), tt.text) {
			t.Errorf("%s calling %s.%s: %+v, want %s with %q", tt.who, tt.id, tt.method, e, tt.outcome, tt.text)
		}
	}
}

func TestAccessOf(t *testing.T) {
	p := parse(t, shop)
	var got [][]string
	for _, a := range analysis.AccessOf(p, "alice", nil, ids) {
		var methods []string
		for _, m := range append(slices.Clone(a.Methods), a.Except...) {
			methods = append(methods, string(m))
		}
		got = append(got, a.Objects, methods)
	}
	want := [][]string{
		{"acme.counter"}, {"*", "reset", "reset="},
		{"acme.new-*"}, {"*"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("access of alice (-want +got):\n%s", diff)
	}

	var q policy.Query
	if err := q.Set("channel", "tcp"); err != nil {
		t.Fatal(err)
	}
	if a := analysis.AccessOf(p, "bob", &q, ids); len(a) != 0 {
		t.Errorf("access of bob without TLS: %+v, want none", a)
	}
	if a := analysis.AccessOf(p, "bob", nil, ids); len(a) != 1 || a[0].Outcome != analysis.Depends {
		t.Errorf("access of bob: %+v, want one that depends", a)
	}
}

func TestProve(t *testing.T) {
	const permit = `
permit "look" {
  principals      = ["alice"]
  objects         = ["other.counter"]
  crosses_tenants = true
}
`
	p := parse(t, shop+permit)
	proof := analysis.Prove(p, ids)
	if len(proof.Crossing) != 1 || !strings.HasSuffix(proof.Crossing[0], `permit "look"`) || proof.Counter != nil {
		t.Errorf("%+v, want only the permit to cross tenants", proof)
	}
	permits, _ := p.RulesAbout("alice")
	for _, r := range permits {
		r.CrossesTenants = false
	}
	if proof = analysis.Prove(p, ids); len(proof.Crossing) != 0 || len(proof.Counter) == 0 {
		t.Errorf("%+v, want counterexamples", proof)
	}
}

func TestDiff(t *testing.T) {
	before := parse(t, shop)
	if c := analysis.Diff(before, parse(t, "\n"+shop), ids); len(c) != 0 {
		t.Errorf("moved lines: %+v, want no change", c)
	}
	after := parse(t, strings.Replace(shop, `methods    = ["reset"]`, `methods    = ["drop"]`, 1))
	changes := analysis.Diff(before, after, ids)
	var methods []object.Method
	for _, c := range changes {
		if !slices.Equal(c.Principals, []object.Principal{"alice"}) ||
			!slices.Equal(c.Objects, []string{"acme.counter"}) {
			t.Errorf("change %+v, want alice calling acme.counter", c)
		}
		methods = append(methods, c.Methods...)
	}
	slices.Sort(methods)
	if want := []object.Method{"drop", "drop=", "reset", "reset="}; !slices.Equal(methods, want) {
		t.Errorf("methods %v, want %v", methods, want)
	}
}

func TestUnmatched(t *testing.T) {
	want := []string{`acme.new-* in policy.hcl:10 permit "count"`}
	if got := analysis.Unmatched(parse(t, shop), ids); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestCheckPrincipal(t *testing.T) {
	p := parse(t, shop+"group \"staff\" { members = [\"bob\"] }\n")
	for who, want := range map[object.Principal]string{
		"alice":             "",
		"anonymous":         "",
		"object:acme.relay": "",
		"alise":             `did you mean "alice"?`,
		"staff":             `such as "bob"`,
		"object:acmee.x":    `did you mean "acme"?`,
		"object:acme":       "not the principal of an object",
	} {
		err := analysis.CheckPrincipal(p, who)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", who, err, want)
		}
	}
}

// carts is a policy about a keyed object, whose keys patterns and conditions distinguish.
const carts = `
listener "local" { address = "127.0.0.1:7766" }
principal "alice" {
  uid    = 1000
  tenant = "acme"
}
principal "bob" { uid = 1001 }
tenant "acme" {}
tenant "other" {}
permit "own cart" {
  principals = ["alice", "bob"]
  objects    = ["acme.cart:*"]
  when       = object.key == caller.principal
}
permit "help" {
  principals = ["bob"]
  objects    = ["acme.cart:help-*"]
  methods    = ["show"]
}
`

// changed returns the differences of two policies as lines "<principals> <objects> <methods>: <before> -> <after>".
func changed(t *testing.T, before, after string, ids []object.ID) []string {
	t.Helper()
	var out []string
	for _, c := range analysis.Diff(parse(t, before), parse(t, after), ids) {
		out = append(out, fmt.Sprint(c.Principals, c.Objects, c.Methods,
			": ", c.Before.Outcome, " -> ", c.After.Outcome))
	}
	slices.Sort(out)
	return out
}

// TestDiffOfKeys compares policies that differ in the keys of an object. The catalog lists the object without keys or
// with the pattern of all of them.
func TestDiffOfKeys(t *testing.T) {
	for _, ids := range [][]object.ID{{"acme.cart", "other.cart"}, {"acme.cart:*", "other.cart:*"}, nil} {
		for _, tt := range []struct {
			old, new string
			want     []string
		}{
			{"", "", nil},
			{"when       = object.key == caller.principal", "", []string{
				"[alice] [acme.cart:*] [*]: depends -> permit",
				"[bob] [acme.cart:*] [*]: depends -> permit",
				"[alice] [acme.cart:help-*] [*]: depends -> permit",
				"[bob] [acme.cart:help-*] [*]: depends -> permit",
			}},
			{`"acme.cart:help-*"`, `"acme.cart:help-1"`, []string{
				"[bob] [acme.cart:help-*] [show]: permit -> depends",
			}},
			{`methods    = ["show"]`, `methods    = ["show", "drop"]`, []string{
				"[bob] [acme.cart:help-*] [drop]: depends -> permit",
			}},
		} {
			got := changed(t, carts, strings.Replace(carts, tt.old, tt.new, 1), ids)
			if len(tt.want) != len(got) {
				t.Errorf("%v, %s: %q, want %q", ids, tt.new, got, tt.want)
			}
			for _, line := range tt.want {
				if !slices.Contains(got, line) {
					t.Errorf("%v, %s: %q lacks %q", ids, tt.new, got, line)
				}
			}
		}
	}
}

// TestKeyedOfCatalog: a pattern without a key does not permit the keys of the catalog's keyed object, so a policy with
// it is another one. Patterns about some of the keys match the object.
func TestKeyedOfCatalog(t *testing.T) {
	all := strings.Replace(shop, `["acme.counter", "acme.new-*"]`, `["acme.*"]`, 1)
	one := strings.Replace(shop, `["acme.counter", "acme.new-*"]`, `["acme.counter", "acme.cart"]`, 1)
	want := []string{"[alice] [acme.cart:*] [*]: permit -> deny"}
	if got := changed(t, all, one, []object.ID{"acme.counter", "acme.cart:*"}); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := changed(t, all, one, []object.ID{"acme.counter", "acme.cart"}); len(got) != 0 {
		t.Errorf("without keys: %q, want no change", got)
	}
	if got := analysis.Unmatched(parse(t, carts), []object.ID{"acme.cart:*"}); len(got) != 0 {
		t.Errorf("unmatched: %q", got)
	}
	if got := analysis.Unmatched(parse(t, carts), []object.ID{"acme.cart"}); len(got) != 2 {
		t.Errorf("unmatched by an object without keys: %q", got)
	}
	for _, a := range analysis.AccessOf(parse(t, carts), "bob", nil, []object.ID{"acme.cart:*"}) {
		if slices.Contains(a.Objects, "acme.cart:*") && a.Outcome != analysis.Depends {
			t.Errorf("access of bob: %+v", a)
		}
	}
}

// TestProveOfKeys: a permit about keys of another tenant's object is a counterexample, unless it crosses tenants.
func TestProveOfKeys(t *testing.T) {
	for _, objects := range []string{"other.cart:*", "other.cart:alice", "other.*"} {
		p := parse(t, carts+`
permit "theirs" {
  principals      = ["alice"]
  objects         = ["`+objects+`"]
  crosses_tenants = true
}
`)
		ids := []object.ID{"acme.cart:*", "other.cart:*"}
		proof := analysis.Prove(p, ids)
		if len(proof.Crossing) != 1 || !strings.HasSuffix(proof.Crossing[0], `permit "theirs"`) ||
			proof.Counter != nil {
			t.Errorf("%s: %+v, want only the permit to cross tenants", objects, proof)
		}
		permits, _ := p.RulesAbout("alice")
		for _, r := range permits {
			r.CrossesTenants = false
		}
		proof = analysis.Prove(p, ids)
		if len(proof.Counter) == 0 {
			t.Errorf("%s: no counterexample", objects)
		}
		for _, c := range proof.Counter {
			if c.Principal != "alice" || c.Object.Tenant() != "other" ||
				!strings.HasSuffix(c.Rule, `permit "theirs"`) {
				t.Errorf("%s: counterexample %+v", objects, c)
			}
		}
	}
	if proof := analysis.Prove(parse(t, carts), nil); proof.Counter != nil || proof.Crossing != nil {
		t.Errorf("%+v, want isolated tenants", proof)
	}
}
