// Package egress reads the egress blocks of tenants: the outbound requests that objects may send, and the credentials
// that the host adds to them.
//
// A [Reader] reads the blocks of all tenants of one file. Check compares them with the tenants, secrets and files of
// the whole file, because blocks have no fixed order. Files of certificates are not opened.
package egress

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/problem"
	"github.com/hearthhost/hearth/policy/syntax"
	"github.com/hearthhost/hearth/service/egress/address"
	"github.com/hearthhost/hearth/service/egress/rule"
)

// maxBlocks bounds the egress blocks of one tenant.
const maxBlocks = 64

// maxBuffered bounds the bytes of the responses that requests of one block can hold at a time.
const maxBuffered = 512 << 20

// Reader reads the egress blocks of a file.
type Reader struct {
	file    *syntax.Reader
	objects []reference // objects that blocks name
	secrets []reference // secrets that blocks use
}

// reference is a name in a block of a tenant.
type reference struct {
	tenant object.Tenant
	syntax.Element
}

// New returns a reader of egress blocks.
func New(file *syntax.Reader) *Reader { return &Reader{file: file} }

// Read reads the egress blocks of a tenant.
func (r *Reader) Read(tenant object.Tenant, b *hclsyntax.Block) []*rule.Block {
	var all []*rule.Block
	for _, inner := range b.Body.Blocks {
		if inner.Type != "egress" {
			continue
		}
		if len(inner.Labels) != 1 || !object.ValidName(inner.Labels[0]) {
			r.file.Problems.Add(inner.TypeRange, `write egress "name" { … }`,
				"an egress block must have one name, of letters, digits, '_' and '-'")
			continue
		}
		name := inner.Labels[0]
		if i := slices.IndexFunc(all, func(o *rule.Block) bool { return o.Name == name }); i >= 0 {
			r.file.Problems.Add(inner.LabelRanges[0], "", "tenant %q already has an egress %q at %s", tenant, name,
				all[i].Where)
			continue
		}
		if len(all) == maxBlocks {
			r.file.Problems.Add(inner.TypeRange, "", "tenant %q has more than %d egress blocks", tenant, maxBlocks)
			break
		}
		all = append(all, r.block(tenant, name, inner))
	}
	return all
}

// kinds are the inner blocks of an egress block.
var kinds = []string{"inject", "basic", "sign", "oauth2", "certificate", "limits"}

func (r *Reader) block(tenant object.Tenant, name string, b *hclsyntax.Block) *rule.Block {
	f := r.file
	a := f.BlockWith(b, kinds, "objects", "hosts", "methods", "paths", "plain", "private", "redirects", "ca", "pin")
	f.Require(b, a, "objects", "hosts", "methods", "paths")
	out := &rule.Block{Tenant: tenant, Name: name, Where: f.Where(b.TypeRange)}
	for _, e := range r.list(a, "objects", "name the objects that may send requests") {
		r.objects = append(r.objects, reference{tenant, e})
		out.Objects = append(out.Objects, object.ID(e.Text))
	}
	for _, e := range r.list(a, "hosts", "name the hosts") {
		h, err := rule.ParseHost(e.Text)
		if err != nil {
			f.Problems.Add(e.At, `write "api.example.com", "*.example.com" or "api.example.com:8443"`, "hosts: %v", err)
		}
		out.Hosts = append(out.Hosts, h)
	}
	for _, e := range r.list(a, "methods", `write methods = ["GET"]`) {
		if err := rule.CheckMethod(e.Text); err != nil {
			f.Problems.Add(e.At, `write "GET"`, "methods: %v", err)
		}
		out.Methods = append(out.Methods, e.Text)
	}
	for _, e := range r.list(a, "paths", `write paths = ["/*"] for all`) {
		if err := rule.CheckPattern(e.Text); err != nil {
			f.Problems.Add(e.At, `write "/v1/charges", or "/v1/*" for all below it`, "paths: %v", err)
		}
		out.Paths = append(out.Paths, e.Text)
	}
	out.Plain, _ = f.Flag(a, "plain")
	r.private(out, a)
	if n, ok := f.Whole(a, "redirects", 0, rule.MaxRedirects, "omit it to return redirects to the script"); ok {
		out.Redirects = int(n)
	}
	out.CA = f.FilePath(a, "ca")
	r.pins(out, a)
	for _, inner := range b.Body.Blocks {
		r.inner(out, inner)
	}
	r.clashes(out, b)
	r.bounds(out, b)
	return out
}

// list returns the elements of a list of texts.
func (r *Reader) list(a syntax.Attributes, name, ifEmpty string) []syntax.Element {
	list, _ := r.file.Texts(a, name, ifEmpty)
	return list
}

func (r *Reader) private(out *rule.Block, a syntax.Attributes) {
	for _, e := range r.list(a, "private", "omit it: private addresses are refused by default") {
		p, err := netip.ParsePrefix(e.Text)
		if err == nil {
			err = address.CheckPrivate(p)
		}
		if err != nil {
			r.file.Problems.Add(e.At, `write "10.1.0.0/16"`, "private: %v", err)
			continue
		}
		out.Private = append(out.Private, p)
	}
}

func (r *Reader) pins(out *rule.Block, a syntax.Attributes) {
	for _, e := range r.list(a, "pin", "omit it to accept every key") {
		text, ok := strings.CutPrefix(e.Text, "sha256/")
		sum, err := base64.StdEncoding.DecodeString(text)
		if !ok || err != nil || len(sum) != 32 {
			r.file.Problems.Add(e.At, `write "sha256/…", the base64 of the SHA-256 of the public key`,
				"pin: %q is not the hash of a public key", e.Text)
			continue
		}
		out.Pins = append(out.Pins, [32]byte(sum))
	}
}

// inner reads one block of an egress block.
func (r *Reader) inner(out *rule.Block, b *hclsyntax.Block) {
	f := r.file
	if b.Type != "sign" {
		f.Unnamed(b)
	}
	twice := false
	switch b.Type {
	case "inject":
		r.inject(out, b)
	case "basic":
		a := f.Block(b, "user", "password")
		f.Require(b, a, "user", "password")
		twice = out.Basic != nil
		out.Basic = &rule.Basic{User: r.template(out, a, "user"), Password: r.template(out, a, "password")}
	case "sign":
		twice = r.sign(out, b)
	case "oauth2":
		twice = out.OAuth != nil
		r.oauth(out, b)
	case "certificate":
		a := f.Block(b, "cert", "key")
		f.Require(b, a, "cert", "key")
		twice = out.Cert != nil
		out.Cert = &rule.Certificate{Cert: f.FilePath(a, "cert"), Key: f.FilePath(a, "key")}
	case "limits":
		twice = out.Limits != rule.Limits{}
		out.Limits = r.limits(b)
	}
	if twice {
		f.Problems.Add(b.TypeRange, "", "egress %q has two %s blocks", out.Name, b.Type)
	}
}

func (r *Reader) inject(out *rule.Block, b *hclsyntax.Block) {
	f := r.file
	a := f.Block(b, "header", "query", "value")
	f.Require(b, a, "value")
	i := rule.Inject{Value: r.template(out, a, "value")}
	switch {
	case (a["header"] == nil) == (a["query"] == nil):
		f.Problems.Add(b.TypeRange, "", "an inject block must have one of header and query")
		return
	case a["header"] != nil:
		i.Header = r.header(a, "header")
	default:
		s, at, ok := f.Text(a, "query")
		if ok && !rule.IsToken(s) {
			f.Problems.Add(at, "", "query: %q is not the name of a parameter", s)
		}
		i.Query = s
	}
	out.Inject = append(out.Inject, i)
}

// header returns an attribute that is the name of a header, in its canonical form.
func (r *Reader) header(a syntax.Attributes, name string) string {
	s, at, ok := r.file.Text(a, name)
	if !ok {
		return ""
	}
	if err := rule.CheckInjected(s); err != nil {
		r.file.Problems.Add(at, "", "%s: %v", name, err)
	}
	return textproto.CanonicalMIMEHeaderKey(s)
}

// parts are the parts of the text that HMAC signs.
var parts = []string{"timestamp", "method", "path", "body"}

// sign reads a sign block. It reports whether there is one of its kind already.
func (r *Reader) sign(out *rule.Block, b *hclsyntax.Block) (twice bool) {
	f := r.file
	schemes := []string{"hmac-sha256", "aws-sigv4"}
	if len(b.Labels) != 1 || !slices.Contains(schemes, b.Labels[0]) {
		f.Problems.Add(b.TypeRange, `write sign "hmac-sha256" { … } or sign "aws-sigv4" { … }`,
			"a sign block must have the name of a scheme")
		return false
	}
	if b.Labels[0] == "aws-sigv4" {
		a := f.Block(b, "region", "service", "access_key", "secret_key", "session_token")
		f.Require(b, a, "region", "service", "access_key", "secret_key")
		s := &rule.AWS{AccessKey: r.template(out, a, "access_key"), SecretKey: r.template(out, a, "secret_key")}
		s.Region = r.name(a, "region")
		s.Service = r.name(a, "service")
		s.SessionToken = r.template(out, a, "session_token")
		twice, out.AWS = out.AWS != nil, s
		return twice
	}
	a := f.Block(b, "secret", "header", "prefix", "timestamp", "content", "separator", "encoding")
	f.Require(b, a, "secret", "header")
	s := &rule.HMAC{Header: r.header(a, "header"), Timestamp: r.header(a, "timestamp"), Separator: "."}
	if secret, at, ok := f.Text(a, "secret"); ok {
		r.secrets = append(r.secrets, reference{out.Tenant, syntax.Element{Text: secret, At: at}})
		s.Secret = rule.Template{{Secret: secret}}
	}
	if prefix, at, ok := f.Text(a, "prefix"); ok {
		s.Prefix = prefix
		r.plainText(prefix, at, "prefix")
	}
	if separator, _, ok := f.Text(a, "separator"); ok {
		s.Separator = separator
	}
	for _, e := range r.list(a, "content", "omit it to sign the body") {
		if !slices.Contains(parts, e.Text) {
			f.Problems.Add(e.At, problem.OneOf(e.Text, parts), "content: %q is not a part of a request", e.Text)
		}
		if e.Text == "timestamp" && a["timestamp"] == nil {
			f.Problems.Add(e.At, `add timestamp = "X-Timestamp"`, "content: the time is signed and not sent")
		}
		s.Content = append(s.Content, e.Text)
	}
	if s.Content == nil {
		if s.Content = []string{"body"}; s.Timestamp != "" {
			s.Content = []string{"timestamp", "body"}
		}
	}
	if encoding, at, ok := f.Text(a, "encoding"); ok {
		if s.Base64 = encoding == "base64"; !s.Base64 && encoding != "hex" {
			f.Problems.Add(at, `write "hex" or "base64"`, "encoding: %q is not valid", encoding)
		}
	}
	twice, out.HMAC = out.HMAC != nil, s
	return twice
}

// name returns an attribute of lower-case letters, digits and '-'.
func (r *Reader) name(a syntax.Attributes, name string) string {
	s, at, ok := r.file.Text(a, name)
	if ok && (!object.ValidName(s) || s != strings.ToLower(s)) {
		r.file.Problems.Add(at, "", "%s: %q is not a name of lower-case letters, digits and '-'", name, s)
	}
	return s
}

// plainText reports a text that cannot be a part of a header.
func (r *Reader) plainText(s string, at hcl.Range, name string) {
	if strings.IndexFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }) >= 0 {
		r.file.Problems.Add(at, "", "%s: the text has a line break or another control byte", name)
	}
}

func (r *Reader) oauth(out *rule.Block, b *hclsyntax.Block) {
	f := r.file
	a := f.Block(b, "token_url", "client_id", "client_secret", "scopes")
	f.Require(b, a, "token_url", "client_id", "client_secret")
	o := &rule.OAuth{ClientID: r.template(out, a, "client_id"), ClientSecret: r.template(out, a, "client_secret")}
	if s, at, ok := f.Text(a, "token_url"); ok {
		t, err := rule.ParseURL(s)
		if err == nil && t.Scheme == "http" && !out.Plain {
			err = fmt.Errorf("it is not encrypted")
		}
		if err != nil {
			f.Problems.Add(at, `write "https://…"`, "token_url: %v", err)
		}
		o.TokenURL = s
	}
	for _, e := range r.list(a, "scopes", "omit it for the server's default") {
		if strings.ContainsAny(e.Text, " \"\\") {
			f.Problems.Add(e.At, "write one scope in each element", "scopes: %q is not a scope", e.Text)
		}
		o.Scopes = append(o.Scopes, e.Text)
	}
	out.OAuth = o
}

func (r *Reader) limits(b *hclsyntax.Block) (l rule.Limits) {
	f := r.file
	a := f.Block(b, "rate", "burst", "concurrent", "request", "response", "timeout", "header_timeout")
	if rate := f.Rate(a, "20/s"); rate.Text != "" || a["burst"] != nil {
		l.Rate, l.Interval, l.Burst = rate.Text, rate.Interval, rate.Burst
	}
	if n, ok := f.Whole(a, "concurrent", 1, rule.MaxConcurrent, ""); ok {
		l.Concurrent = int(n)
	}
	if n, ok := f.Bytes(a, "request", 1, rule.MaxBodyBytes); ok {
		l.RequestBytes = int(n)
	}
	if n, ok := f.Bytes(a, "response", 1, rule.MaxBodyBytes); ok {
		l.ResponseBytes = int(n)
	}
	const hint = `write "10s"`
	l.Timeout, _ = f.Duration(a, "timeout", minTimeout, rule.MaxTimeout, hint)
	l.HeaderTimeout, _ = f.Duration(a, "header_timeout", minTimeout, rule.MaxTimeout, hint)
	return l
}

// minTimeout is the least time limit of a request.
const minTimeout = 10 * time.Millisecond

// template returns an attribute that is a text with secrets: "Bearer ${secret.stripe}".
func (r *Reader) template(out *rule.Block, a syntax.Attributes, name string) rule.Template {
	attr := a[name]
	if attr == nil {
		return nil
	}
	var exprs []hclsyntax.Expression
	switch e := attr.Expr.(type) {
	case *hclsyntax.TemplateExpr:
		exprs = e.Parts
	case *hclsyntax.TemplateWrapExpr:
		exprs = []hclsyntax.Expression{e.Wrapped}
	default:
		r.file.Problems.Add(attr.Expr.Range(), `write "${secret.name}", in quotes`, "%s: must be a text", name)
		return nil
	}
	t := rule.Template{}
	for _, e := range exprs {
		if secret, ok := secretOf(e); ok {
			r.secrets = append(r.secrets, reference{out.Tenant, syntax.Element{Text: secret, At: e.Range()}})
			t = append(t, rule.Part{Secret: secret})
			continue
		}
		if _, literal := e.(*hclsyntax.LiteralValueExpr); !literal {
			r.file.Problems.Add(e.Range(), `write ${secret.name}`, "%s: only secrets can be inserted", name)
			continue
		}
		if s, ok := r.file.TextOf(e, name); ok {
			r.plainText(s, e.Range(), name)
			t = append(t, rule.Part{Text: s})
		}
	}
	if len(exprs) > 0 && len(t) == len(exprs) && t.String() == "" || len(exprs) == 0 {
		r.file.Problems.Add(attr.Expr.Range(), "", "%s: the text is empty", name)
	}
	return t
}

// secretOf returns the name of a secret in ${secret.name} or ${secret["name"]}.
func secretOf(e hclsyntax.Expression) (string, bool) {
	v, ok := e.(*hclsyntax.ScopeTraversalExpr)
	if !ok || v.Traversal.RootName() != "secret" || len(v.Traversal) != 2 {
		return "", false
	}
	switch step := v.Traversal[1].(type) {
	case hcl.TraverseAttr:
		return step.Name, true
	case hcl.TraverseIndex:
		if step.Key.Type().FriendlyName() == "string" {
			return step.Key.AsString(), true
		}
	}
	return "", false
}

// clashes reports credentials that would replace each other.
func (r *Reader) clashes(out *rule.Block, b *hclsyntax.Block) {
	seen := map[string]bool{}
	for _, name := range out.InjectedHeaders() {
		same := textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(name, "_", "-"))
		if seen[same] {
			r.file.Problems.Add(b.TypeRange, "", "egress %q sets header %s twice", out.Name, name)
		}
		seen[same] = true
	}
	if n := btoi(out.Basic != nil) + btoi(out.OAuth != nil) + btoi(out.AWS != nil); n > 1 {
		r.file.Problems.Add(b.TypeRange, "", "egress %q sets header Authorization twice", out.Name)
	}
	if out.Cert != nil && out.Plain {
		r.file.Problems.Add(b.TypeRange, "remove plain", "egress %q has a certificate, which http:// does not use",
			out.Name)
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// bounds reports limits that exceed each other.
func (r *Reader) bounds(out *rule.Block, b *hclsyntax.Block) {
	l := out.Limits.WithDefaults()
	if l.Concurrent*l.ResponseBytes > maxBuffered {
		r.file.Problems.Add(b.TypeRange, "lower concurrent or response",
			"egress %q: %d responses of %d bytes at a time exceed %d MiB of the host's memory", out.Name, l.Concurrent,
			l.ResponseBytes, maxBuffered>>20)
	}
	if l.HeaderTimeout > l.Timeout {
		r.file.Problems.Add(b.TypeRange, "lower header_timeout", "egress %q: header_timeout is longer than timeout",
			out.Name)
	}
}

// Check checks the objects and secrets of all blocks against the whole file. checkTenant reports an unknown tenant.
func (r *Reader) Check(def *policy.Definition, checkTenant func(object.Tenant, syntax.Element, string)) {
	for _, o := range r.objects {
		id, err := object.ParseID(o.Text)
		switch {
		case err != nil:
			r.file.Problems.Add(o.At, fmt.Sprintf(`write the whole id: "%s.name"`, o.tenant),
				"objects: %q is not an object id", o.Text)
		case id.Tenant() != o.tenant && def.Settings[id.Tenant()] == nil:
			checkTenant(id.Tenant(), o.Element, "objects")
		case id.Tenant() != o.tenant:
			r.file.Problems.Add(o.At, "name objects of the same tenant",
				"objects: %q is an object of tenant %q, but the egress block belongs to tenant %q", o.Text, id.Tenant(),
				o.tenant)
		}
	}
	for _, s := range r.secrets {
		var names []string
		for _, have := range def.Secrets {
			if have.Tenant == s.tenant {
				names = append(names, have.Name)
			}
		}
		if !slices.Contains(names, s.Text) {
			hint := problem.Near(s.Text, names)
			if hint == "" {
				hint = fmt.Sprintf(`add secret %q { file = "secrets/%s" } in tenant %q`, s.Text, s.Text, s.tenant)
			}
			r.file.Problems.Add(s.At, hint, "tenant %q has no secret %q", s.tenant, s.Text)
		}
	}
	for _, b := range def.Egress {
		if b.Cert == nil {
			continue
		}
		for _, s := range def.Secrets {
			if s.Path == b.Cert.Key {
				r.file.Problems.Add(hcl.Range{Filename: r.file.File, Start: hcl.InitialPos}, "use another file",
					"egress %q of tenant %q: the key %s is also secret %q", b.Name, b.Tenant, b.Cert.Key, s.Name)
			}
		}
	}
}
