package policy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/object"
)

// TestResult is what a test block came to.
type TestResult struct {
	Name      string           `json:"name"`
	Where     string           `json:"where"` // "policy.hcl:40"
	Principal object.Principal `json:"principal"`
	Call      string           `json:"call"`
	Want      string           `json:"want"` // permit or deny
	Got       string           `json:"got"`
	Reason    string           `json:"reason"`

	at hcl.Range
}

// Passed reports whether the test got what it wants.
func (t *TestResult) Passed() bool { return t.Got == t.Want }

// failed returns the problems that failing tests are; nil if there are none.
func (p *Policy) failed() error {
	var out Problems
	for _, t := range p.Tests {
		if !t.Passed() {
			out.Add(t.at, "", "test %q fails: %s calling %s is a %s, want %s: %s", t.Name, t.Principal, t.Call, t.Got, t.Want, t.Reason)
		}
	}
	if out == nil {
		return nil
	}
	return out.Sorted()
}

// test reads a test block and runs it: a file with one that fails does not load. It is
// read after all rules.
func (r *reader) test(name string, b *hclsyntax.Block) {
	a := r.blockWith(b, []string{"cert"}, "principal", "call", "want", "channel", "auth", "address", "uid", "time")
	r.require(b, a, "principal", "call", "want")
	t := TestResult{Name: name, Where: r.where(b.TypeRange), at: b.TypeRange}
	who, at, ok := r.text(a, "principal")
	if ok && r.groups[who] != nil {
		r.problems.Add(at, "write one test for each that matters", "principal: %q is a group", who)
	} else if ok {
		r.principalNamed(element{who, at}, "principal")
	}
	call, at, ok := r.text(a, "call")
	id, m, err := SplitCall(call)
	if ok && err != nil {
		r.problems.Add(at, err.Error(), "call: %q is no method of an object", call)
	}
	want, at, ok := r.text(a, "want")
	if ok && want != "permit" && want != "deny" {
		r.problems.Add(at, `write "permit" or "deny"`, "want: %q", want)
	}
	given := r.given(a, b)
	if len(r.problems) > 0 {
		return // with a broken file, a decision means nothing
	}
	if r.built == nil { // tests are read after all rules
		r.built = New(*r.p)
	}
	d := r.built.DecideQuery(object.Principal(who), given, id, m)
	t.Principal, t.Call, t.Want, t.Got, t.Reason = object.Principal(who), call, want, "deny", d.Reason
	if d.Permit {
		t.Got = "permit"
	}
	r.p.Tests = append(r.p.Tests, t)
}

// given reads the facts that a test gives.
func (r *reader) given(a attributes, b *hclsyntax.Block) Query {
	var g Query
	for _, name := range QueryNames {
		if a[name] == nil {
			continue
		}
		var s string
		var ok bool
		if name == "uid" {
			var n uint32
			n, ok = r.uid(a, name)
			s = fmt.Sprint(n)
		} else {
			s, _, ok = r.text(a, name)
		}
		if !ok {
			continue
		}
		if err := g.Set(name, s); err != nil {
			r.problems.Add(a[name].Expr.Range(), err.Error(), "%s: %q", name, s)
		}
	}
	for _, inner := range b.Body.Blocks {
		if inner.Type != "cert" {
			continue
		}
		c, _ := r.certificate(inner)
		g.peer.Cert = &object.Certificate{CommonName: c.CommonName, Serial: c.Serial, SHA256: c.SHA256}
		if c.DNS != "" {
			g.peer.Cert.DNS = []string{c.DNS}
		}
		if c.URI != "" {
			g.peer.Cert.URIs = []string{c.URI}
		}
	}
	return g
}

// SplitCall takes "acme.shop.cart.add" apart into object and method. The error is a hint.
func SplitCall(call string) (object.ID, object.Method, error) {
	errForm := errors.New("write <tenant>.<name>.<method>")
	i := strings.LastIndexByte(call, '.')
	if i < 0 {
		return "", "", errForm
	}
	id, m := object.ID(call[:i]), object.Method(call[i+1:])
	if _, err := object.ParseID(string(id)); err != nil {
		return "", "", errForm
	}
	return id, m, nil
}
