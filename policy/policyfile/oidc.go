package policyfile

import (
	"net/netip"
	"net/url"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// maxIssuers bounds the issuers of a policy: the host holds the keys of each.
const maxIssuers = 64

// oidc reads an oidc block of a principal.
func (r *reader) oidc(who object.Principal, b *hclsyntax.Block) {
	a := r.Block(b, "issuer", "audience", "claims", "ca", "plain")
	r.Unnamed(b)
	r.Require(b, a, "issuer", "audience", "claims")
	rule := policy.TokenRule{Principal: who, CA: r.FilePath(a, "ca"), Where: r.Where(b.TypeRange)}
	plain, _ := r.Flag(a, "plain")
	if s, at, ok := r.Text(a, "issuer"); ok {
		rule.Issuer = s
		r.checkIssuer(s, plain, at)
		r.sameAuthority(&rule, at)
	}
	if s, at, ok := r.Text(a, "audience"); ok {
		if rule.Audience = s; s == "" {
			r.Problems.Add(at, "write the audience of this host, for example its URL", "audience: must not be empty")
		}
	}
	rule.Claims = r.Claims(a, "claims")
	for _, name := range []string{"iss", "aud"} {
		if _, ok := rule.Claims[name]; ok {
			r.Problems.Add(a["claims"].Expr.Range(), "use issuer and audience", "claims: %q is a separate attribute",
				name)
		}
	}
	if a["claims"] != nil && len(rule.Claims) == 0 && len(r.Problems) == 0 {
		r.def.Warnings.Add(a["claims"].Expr.Range(), "name claims, for example sub",
			"every token of %s for %q proves the principal %q", rule.Issuer, rule.Audience, who)
	}
	r.def.Tokens = append(r.def.Tokens, rule)
}

// sameAuthority checks that all rules about an issuer name the same authorities of its server.
func (r *reader) sameAuthority(rule *policy.TokenRule, at hcl.Range) {
	issuers := map[string]bool{rule.Issuer: true}
	for _, other := range r.def.Tokens {
		issuers[other.Issuer] = true
		if other.Issuer == rule.Issuer && other.CA != rule.CA {
			r.Problems.Add(at, "write the same ca in both", "issuer %q has another ca at %s", rule.Issuer, other.Where)
		}
	}
	if len(issuers) == maxIssuers+1 {
		r.Problems.Add(at, "", "the policy has more than %d issuers", maxIssuers)
	}
}

// checkIssuer reports a problem with the URL of an issuer. The host fetches the issuer's keys below this URL.
func (r *reader) checkIssuer(s string, plain bool, at hcl.Range) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" ||
		u.Opaque != "" || len(s) > 1024 || u.String() != s {
		r.Problems.Add(at, `write the URL as the issuer's tokens have it: "https://login.example"`,
			"issuer: %q is not the URL of an issuer", s)
		return
	}
	ip, err := netip.ParseAddr(u.Hostname())
	switch {
	case u.Scheme == "https" && plain:
		r.Problems.Add(at, "remove plain", "issuer: plain is for issuers at http:// on this machine")
	case u.Scheme == "https":
	case u.Scheme != "http" || err != nil || !ip.IsLoopback():
		r.Problems.Add(at, "write https://", "issuer: %q must be an https URL; http is possible for a loopback "+
			"address only", s)
	case !plain:
		r.Problems.Add(at, "write https://, or add plain = true for an issuer on this machine",
			"issuer: keys from %q are not protected", s)
	}
}
