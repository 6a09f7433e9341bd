package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/policytest"
)

// TestPatternsOfKeys matches patterns and ids. A '*' of a name matches no part of a key.
func TestPatternsOfKeys(t *testing.T) {
	for pattern, want := range map[string]map[object.ID]bool{
		"acme.cart":       {"acme.cart": true, "acme.cart:alice": false},
		"acme.*":          {"acme.cart": true, "acme.cart:alice": true, "other.cart:alice": false},
		"*":               {"acme.cart": true, "acme.cart:alice": true},
		"acme.car*":       {"acme.cart:alice": true, "acme.card:alice": true, "acme.x:alice": false},
		"acme.cart:*":     {"acme.cart": false, "acme.cart:alice": true, "acme.cart.x:alice": false},
		"acme.cart:alice": {"acme.cart": false, "acme.cart:alice": true, "acme.cart:alice2": false},
		"acme.cart:al*":   {"acme.cart:alice": true, "acme.cart:bob": false},
		"acme.*.status":   {"acme.x.status": true, "acme.cart:x.status": false},
		"acme.*.status*":  {"acme.x.status:a": true, "acme.cart:x.status1": false},
		"*.cart:alice":    {"acme.cart:alice": true, "acme.cart:bob": false, "acme.x.cart:alice": false},
		"acme.*:x":        {"acme.cart:x": true, "acme.cart:y": false},
	} {
		p, err := policy.ParsePattern(pattern)
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
			continue
		}
		for id, match := range want {
			if got := p.Match(id); got != match {
				t.Errorf("%s matches %s: %v, want %v", pattern, id, got, match)
			}
		}
	}
	for _, s := range []string{
		"acme.cart:", "acme.cart:-a", "acme.cart:a:b", "acme.cart:a b", "acme.cart:a@b", "acme.:a", "acme:a",
		"acme.cart:**", "acme.cart:.*",
	} {
		if p, err := policy.ParsePattern(s); err == nil {
			t.Errorf("ParsePattern(%q) = %v, want an error", s, p)
		}
	}
}

const keyedPolicy = `
tenant "acme" {}
principal "alice" { uid = 1001 }
principal "bob@example.com" { uid = 1002 }
principal "carol" { uid = 1003 }
permit "own cart" {
  principals = ["alice", "bob@example.com"]
  objects    = ["acme.cart:*"]
  when       = object.key == caller.principal
}
permit "one key" {
  principals = ["carol"]
  objects    = ["acme.*"]
  when       = contains(["x", "y"], object.key) && object.name == "cart"
}
forbid "not y" {
  principals = ["carol"]
  objects    = ["acme.cart:y"]
}`

// TestDecideKeys decides on calls of a keyed object under conditions on the key.
func TestDecideKeys(t *testing.T) {
	p := policytest.Parse(t, keyedPolicy)
	for _, tc := range []struct {
		who  object.Principal
		id   object.ID
		want bool
	}{
		{"alice", "acme.cart:alice", true},
		{"alice", "acme.cart:bob", false},
		{"alice", "acme.cart", false},
		{"alice", "acme.cart:*", false},
		{"alice", "acme.other:alice", false},
		{"bob@example.com", "acme.cart:bob@example.com", false}, // no valid key
		{"carol", "acme.cart:x", true},
		{"carol", "acme.cart:y", false},
		{"carol", "acme.cart:z", false},
		{"carol", "acme.cart", false},
	} {
		c := object.Caller{Principal: tc.who}
		if d := p.Decide(c, tc.id, "add"); d.Permit != tc.want {
			t.Errorf("%s calls %s: %+v, want %v", tc.who, tc.id, d, tc.want)
		}
		if tc.id.Key() != object.AnyKey && p.Visible(c, tc.id) != tc.want {
			t.Errorf("%s sees %s: %v", tc.who, tc.id, !tc.want)
		}
	}
	listings := p.NewListings([]object.ID{"acme.cart:*", "acme.other:*"})
	for who, want := range map[object.Principal][]object.ID{
		"alice": {"acme.cart:*"}, "bob@example.com": nil, "carol": {"acme.cart:*"}, object.Anonymous: nil,
	} {
		c := object.Caller{Principal: who}
		if got := listings.Visible(c); !slices.Equal(got, want) || listings.Count(c) != len(want) {
			t.Errorf("%s sees %v, want %v", who, got, want)
		}
		for _, id := range []object.ID{"acme.cart:*", "acme.other:*"} {
			if got := p.Visible(c, id); got != slices.Contains(want, id) {
				t.Errorf("%s sees %s: %v", who, id, got)
			}
		}
	}
}

// TestPatternsAreLinear matches ids of megabytes with patterns that backtrack: the number of steps is bounded by the
// product of both lengths, and only the id is the caller's. The test has no clock: a pattern that tries all ways would
// never end.
func TestPatternsAreLinear(t *testing.T) {
	long := strings.Repeat("a", 1<<20)
	for _, pattern := range []string{"acme.*a*a*a*a*a*b", "acme.x:*a*a*a*a*a*b"} {
		p, err := policy.ParsePattern(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for suffix, want := range map[string]bool{"": false, "b": true} {
			id := object.ID("acme." + long + suffix)
			if strings.Contains(pattern, ":") {
				id = object.ID("acme.x:" + long + suffix)
			}
			if got := p.Match(id); got != want {
				t.Errorf("%s matches 1 MiB and %q: %v, want %v", pattern, suffix, got, want)
			}
		}
	}
}
