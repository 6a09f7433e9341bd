package object_test

import (
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
)

// badKeys are keys that no object has. Some of them look like a good one, or have a meaning elsewhere.
var badKeys = []string{
	"", ".", "..", "-a", "~a", ".a", "a:b", ":", "a/b", "a\\b", "a b", "a\x00", "a\n", "a@b", "a*", "*", "a?", "[a]",
	"a%20", "a+b", "a,b", "a=b", "a'b", `a"b`, "é", "аlice", "alice\u200b", "ａlice", "a\xff",
	strings.Repeat("k", object.MaxKeyBytes+1), strings.Repeat("k", 1<<20),
}

func TestKeys(t *testing.T) {
	for _, key := range []string{"a", "7", "_", "alice", "A.b-c~d_e", "a..b", strings.Repeat("k", object.MaxKeyBytes)} {
		id := object.ID("acme.shop.cart").WithKey(key)
		got, err := object.ParseTarget(string(id))
		if err != nil || got != id || !object.ValidKey(key) {
			t.Errorf("ParseTarget(%q) = %q, %v", id, got, err)
		}
		family, k, keyed := id.Split()
		if family != "acme.shop.cart" || k != key || !keyed || id.Family() != family || id.Key() != key {
			t.Errorf("Split(%q) = %q, %q, %v", id, family, k, keyed)
		}
		if id.Tenant() != "acme" || id.Name() != "shop.cart:"+key {
			t.Errorf("tenant %q and name %q of %q", id.Tenant(), id.Name(), id)
		}
		if _, err := object.ParseID(string(id)); err == nil {
			t.Errorf("ParseID(%q) accepts a key", id)
		}
	}
	for _, key := range badKeys {
		if id, err := object.ParseTarget("acme.cart:" + key); err == nil || object.ValidKey(key) {
			t.Errorf("ParseTarget(acme.cart:%.40q) = %q, want an error", key, id)
		}
	}
	long := "a." + strings.Repeat("b", 250) + ":key"
	for _, s := range []string{"", ":", ":a", "acme:a", "Pyro.Daemon:a", "acme..x:a", long} {
		if id, err := object.ParseTarget(s); err == nil {
			t.Errorf("ParseTarget(%q) = %q, want an error", s, id)
		}
	}
	if id, err := object.ParseTarget("acme.cart"); err != nil || id.Family() != id || id.Key() != "" {
		t.Errorf("ParseTarget(acme.cart) = %q, %v", id, err)
	}
}

// FuzzParseTarget checks that an accepted id has one reading: it is the family and the key, and both are valid.
func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"acme.cart", "acme.cart:alice", "acme.cart:", "acme:a.b", "acme.cart:a:b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := object.ParseTarget(s)
		if err != nil {
			return
		}
		family, key, keyed := id.Split()
		if _, err := object.ParseID(string(family)); err != nil || keyed != object.ValidKey(key) {
			t.Errorf("%q has the family %q and the key %q: %v", s, family, key, err)
		}
		if keyed && family.WithKey(key) != object.ID(s) || !keyed && family != object.ID(s) {
			t.Errorf("%q is not %q with %q", s, family, key)
		}
	})
}
