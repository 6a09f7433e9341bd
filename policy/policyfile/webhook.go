package policyfile

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/problem"
	"github.com/hearthhost/hearth/policy/syntax"
)

// webhookHint is the hint of the durations of webhooks.
const webhookHint = `write "10m"`

// Bounds and defaults of webhooks.
const (
	maxWebhookName    = 64 // bytes
	maxWebhookSecrets = 4
	maxTolerance      = time.Hour
	maxReplay         = 30 * 24 * time.Hour
	maxWebhookBody    = 8 << 20

	defaultTolerance   = 5 * time.Minute
	defaultReplay      = 24 * time.Hour
	defaultWebhookBody = 1 << 20
)

// webhook reads a webhook block. Tenants and their secrets are read before it.
func (r *reader) webhook(name string, b *hclsyntax.Block) {
	a := r.Block(b, "call", "verify", "secret", "header", "id_header", "tolerance", "replay", "body")
	r.Require(b, a, "call", "verify", "secret")
	at := b.LabelRanges[0]
	if !object.ValidName(name) || len(name) > maxWebhookName {
		r.Problems.Add(at, "", "webhook %q: a name must consist of at most %d letters, digits, '_' and '-'", name,
			maxWebhookName)
		return
	}
	w := policy.Webhook{Name: name, MaxBody: defaultWebhookBody, Where: r.Where(b.TypeRange)}
	r.principals[object.Webhook(name)] = struct{}{}
	r.webhooks = append(r.webhooks, at)
	r.target(&w, a)
	r.scheme(&w, a, b)
	w.Replay = defaultReplay
	if d, ok := r.Duration(a, "replay", time.Minute, maxReplay, webhookHint); ok {
		w.Replay = d
	}
	if w.Replay < 2*w.Tolerance && a["replay"] != nil {
		r.Problems.Add(a["replay"].Expr.Range(), "write at least twice the tolerance",
			"replay: a request of %s ago would be accepted again: its timestamp is valid for %s", w.Replay,
			2*w.Tolerance)
	}
	if n, ok := r.Bytes(a, "body", 1<<10, maxWebhookBody); ok {
		w.MaxBody = int(n)
	}
	r.def.Webhooks = append(r.def.Webhooks, w)
}

// target reads the called method of a webhook, and the secrets of its tenant that prove a request.
func (r *reader) target(w *policy.Webhook, a syntax.Attributes) {
	call, at, ok := r.Text(a, "call")
	if !ok {
		return
	}
	id, m, err := policy.SplitCall(call)
	if err != nil || !m.Callable() {
		r.Problems.Add(at, `write <tenant>.<name>.<method>, or <tenant>.<name>:<key>.<method> for a keyed object`,
			"call: %q is not a method of an object", call)
		return
	}
	tenant := id.Tenant()
	r.CheckTenant(tenant, syntax.Element{Text: call, At: at}, "call")
	w.Object, w.Method = id, m
	r.def.Owners[object.Webhook(w.Name)] = tenant
	for _, e := range r.secretNames(a) {
		i := slices.IndexFunc(r.def.Secrets, func(s policy.Secret) bool {
			return s.Tenant == tenant && s.Name == e.Text
		})
		if i < 0 {
			r.Problems.Add(e.At, fmt.Sprintf("add secret %q { file = … } to tenant %q", e.Text, tenant),
				"secret: tenant %q has no secret %q", tenant, e.Text)
			continue
		}
		w.Secrets = append(w.Secrets, e.Text)
	}
	if len(w.Secrets) > maxWebhookSecrets {
		r.Problems.Add(a["secret"].Expr.Range(), "remove secrets that the service no longer uses",
			"secret: a webhook has at most %d secrets", maxWebhookSecrets)
	}
}

// secretNames returns the names of a webhook's secrets: one string, or a list.
func (r *reader) secretNames(a syntax.Attributes) []syntax.Element {
	attr := a["secret"]
	if attr == nil {
		return nil
	}
	if _, list := attr.Expr.(*hclsyntax.TupleConsExpr); list {
		all, _ := r.Texts(a, "secret", "name a secret of the tenant")
		return all
	}
	if s, at, ok := r.Text(a, "secret"); ok {
		return []syntax.Element{{Text: s, At: at}}
	}
	return nil
}

// scheme reads the scheme of a webhook's signatures, and the attributes that belong to it.
func (r *reader) scheme(w *policy.Webhook, a syntax.Attributes, b *hclsyntax.Block) {
	s, at, ok := r.Text(a, "verify")
	if !ok {
		return
	}
	if !slices.Contains(policy.Schemes, s) {
		r.Problems.Add(at, problem.OneOf(s, policy.Schemes), "verify: unknown scheme %q", s)
		return
	}
	w.Scheme = s
	timed := s == policy.SchemeStandard || s == policy.SchemeStripe
	for name, of := range map[string]bool{
		"tolerance": timed,
		"header":    s == policy.SchemeHMAC,
		"id_header": !timed,
	} {
		if attr := a[name]; attr != nil && !of {
			r.Problems.Add(attr.NameRange, "remove it", "%s is not a setting of the scheme %q", name, s)
		}
	}
	if timed {
		w.Tolerance = defaultTolerance
		if d, ok := r.Duration(a, "tolerance", time.Second, maxTolerance, webhookHint); ok {
			w.Tolerance = d
		}
	}
	w.Header, w.IDHeader = r.headerName(a, "header"), r.headerName(a, "id_header")
	if s == policy.SchemeHMAC && a["header"] == nil {
		r.Problems.Add(b.TypeRange, `write header = "X-Signature"`, `a webhook with verify = "hmac" needs header`)
	}
}

// headerName returns an attribute that is the name of a header, in its canonical form.
func (r *reader) headerName(a syntax.Attributes, name string) string {
	s, at, ok := r.Text(a, name)
	if !ok {
		return ""
	}
	if s == "" || len(s) > 100 || strings.Trim(s, headerBytes) != "" {
		r.Problems.Add(at, "", "%s: %q is not the name of a header", name, s)
	}
	return http.CanonicalHeaderKey(s)
}

// headerBytes are the bytes of the names of headers that services use.
const headerBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// checkWebhooks warns of each webhook whose call no permit covers. It runs after permits are read.
func (r *reader) checkWebhooks() {
	if len(r.Problems) > 0 || len(r.def.Webhooks) == 0 {
		return
	}
	built := policy.New(*r.def)
	for i := range r.def.Webhooks {
		w := &r.def.Webhooks[i]
		if len(built.Match(object.Webhook(w.Name), w.Object, w.Method).Permits) == 0 {
			r.def.Warnings.Add(r.webhooks[i], fmt.Sprintf("add a permit with principals = [%q]",
				object.Webhook(w.Name)), "webhook %q: no permit covers %s.%s, so that its requests are refused",
				w.Name, w.Object, w.Method)
		}
	}
}
