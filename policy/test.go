package policy

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/object"
)

// test reads a test block and runs it: one that fails is a problem of the file, which
// therefore does not load. It is read after all rules.
func (r *reader) test(name string, b *hclsyntax.Block) {
	r.p.Tests++
	a := r.block(b, "principal", "call", "want")
	r.require(b, a, "principal", "call", "want")
	who, at, ok := r.text(a, "principal")
	if ok {
		before := len(r.problems)
		if r.groups[who] != nil {
			r.problems.add(at, "write one test for each that matters", "principal: %q is a group", who)
		} else {
			r.named(element{who, at}, "principal")
		}
		ok = len(r.problems) == before
	}
	call, at, called := r.text(a, "call")
	id, m, err := SplitCall(call)
	if called && err != nil {
		r.problems.add(at, err.Error(), "call: %q is no method of an object", call)
	}
	want, at, wanted := r.text(a, "want")
	if wanted && want != "permit" && want != "deny" {
		r.problems.add(at, `write "permit" or "deny"`, "want: %q", want)
	}
	if !ok || !called || err != nil || !wanted || len(r.problems) > 0 {
		return // with a broken file, a decision means nothing
	}
	d := r.p.Decide(CallerOf(object.Principal(who)), id, m)
	if got := word(d.Permit); got != want {
		r.problems.add(b.TypeRange, "", "test %q fails: %s calling %s is a %s, want %s: %s", name, who, call, got, want, d.Reason)
	}
}

func word(permit bool) string {
	if permit {
		return "permit"
	}
	return "deny"
}

// SplitCall takes "acme.shop.cart.add" apart into object and method. The error is a hint.
func SplitCall(call string) (object.ID, object.Method, error) {
	i := strings.LastIndexByte(call, '.')
	if i < 0 {
		return "", "", fmt.Errorf("write <tenant>.<name>.<method>")
	}
	id, m := object.ID(call[:i]), object.Method(call[i+1:])
	if _, err := object.ParseID(string(id)); err != nil {
		return "", "", fmt.Errorf("write <tenant>.<name>.<method>")
	}
	return id, m, nil
}

// CallerOf returns the caller that a principal is, as far as rules ask.
func CallerOf(p object.Principal) object.Caller {
	c := object.Caller{Principal: p}
	if id, ok := callingObject(p); ok {
		c.Tenant = id.Tenant()
	}
	return c
}
