package policyfile

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/syntax"
)

// test reads a test block and runs it. It is read after all rules. A file with a failing test does not load.
func (r *reader) test(name string, b *hclsyntax.Block) {
	a := r.BlockWith(b, []string{"cert"}, "principal", "call", "request", "egress", "want", "channel", "auth",
		"gateway", "claims",
		"address", "uid", "time")
	switch {
	case a["request"] == nil:
		r.Require(b, a, "principal", "call", "want")
	case a["call"] != nil:
		r.Problems.Add(a["request"].NameRange, "write two tests", "call and request exclude each other")
	default:
		r.Require(b, a, "principal", "want")
	}
	t := policy.TestResult{Name: name, Where: r.Where(b.TypeRange)}
	who, at, ok := r.Text(a, "principal")
	if ok && r.groups[who] != nil {
		r.Problems.Add(at, "write a test for a member", "principal: %q is a group", who)
	} else if ok {
		r.CheckPrincipal(syntax.Element{Text: who, At: at}, "principal")
	}
	call, at, ok := r.Text(a, "call")
	id, m, err := policy.SplitCall(call)
	if ok && err != nil {
		r.Problems.Add(at, err.Error(), "call: %q is not a method of an object", call)
	}
	want, at, ok := r.Text(a, "want")
	if ok && want != "permit" && want != "deny" {
		r.Problems.Add(at, `write "permit" or "deny"`, "want: %q is not a decision", want)
	}
	query := r.query(a, b)
	request := r.request(a, object.Principal(who))
	if len(r.Problems) > 0 {
		return // decisions of an invalid policy have no meaning
	}
	if r.built == nil { // tests are read after all rules
		r.built = policy.New(*r.def)
	}
	d := r.built.DecideQuery(object.Principal(who), query, id, m)
	if request != nil {
		d = request()
		call, _, _ = r.Text(a, "request")
	}
	t.Principal = object.Principal(who)
	t.Call = call
	t.Want = want
	t.Got = "deny"
	t.Reason = d.Reason
	if d.Permit {
		t.Got = "permit"
	}
	if !t.Passed() {
		r.failed.Add(b.TypeRange, "", "test %q failed: decision on %s calling %s is %s, must be %s: %s",
			t.Name, t.Principal, t.Call, t.Got, t.Want, t.Reason)
	}
	r.def.Tests = append(r.def.Tests, t)
}

// request reads the outbound request of a test. The result decides about it; nil if the test has none.
func (r *reader) request(a syntax.Attributes, who object.Principal) func() policy.Decision {
	name, at, named := r.Text(a, "egress")
	text, requestAt, ok := r.Text(a, "request")
	if named && !ok {
		r.Problems.Add(at, "", "egress needs a request")
	}
	if !ok {
		return nil
	}
	for _, other := range policy.QueryNames {
		if a[other] != nil {
			r.Problems.Add(a[other].NameRange, "remove it", "a request does not depend on %s", other)
		}
	}
	id, isObject := who.Object()
	if !isObject {
		r.Problems.Add(requestAt, `write principal = "object:<tenant>.<name>"`, "request: only objects send requests")
	}
	method, url, ok := strings.Cut(text, " ")
	if !ok {
		r.Problems.Add(requestAt, `write "POST https://api.example.com/v1/charges"`, "request: %q is not a request",
			text)
	}
	return func() policy.Decision { return r.built.DecideRequest(id, name, method, url) }
}

// query reads the connection attributes and the time of a test.
func (r *reader) query(a syntax.Attributes, b *hclsyntax.Block) policy.Query {
	var g policy.Query
	for _, name := range policy.QueryNames {
		if a[name] == nil {
			continue
		}
		var s string
		var ok bool
		if name == "uid" {
			var n uint32
			n, ok = r.UID(a, name)
			s = fmt.Sprint(n)
		} else {
			s, _, ok = r.Text(a, name)
		}
		if !ok {
			continue
		}
		if err := g.Set(name, s); err != nil {
			r.Problems.Add(a[name].Expr.Range(), err.Error(), "%s: %q is not valid", name, s)
		}
	}
	if a["claims"] != nil {
		g.SetClaims(r.Claims(a, "claims"))
	}
	for _, inner := range b.Body.Blocks {
		if inner.Type != "cert" {
			continue
		}
		c, _ := r.certificate(inner)
		g.Peer.Cert = &object.Certificate{CommonName: c.CommonName, Serial: c.Serial, SHA256: c.SHA256}
		if c.DNS != "" {
			g.Peer.Cert.DNS = []string{c.DNS}
		}
		if c.URI != "" {
			g.Peer.Cert.URIs = []string{c.URI}
		}
	}
	return g
}
