package policy

import (
	"maps"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/object"
)

// CertRule maps client certificates to a principal. Empty fields match everything.
type CertRule struct {
	Principal                                object.Principal
	CA, CommonName, DNS, URI, Serial, SHA256 string
}

// Match reports whether the rule matches a verified certificate.
func (r *CertRule) Match(c *object.Certificate) bool {
	return r.CA == c.CA &&
		(r.CommonName == "" || r.CommonName == c.CommonName) &&
		(r.DNS == "" || slices.ContainsFunc(c.DNS, func(s string) bool { return strings.EqualFold(r.DNS, s) })) &&
		(r.URI == "" || slices.Contains(c.URIs, r.URI)) &&
		(r.Serial == "" || r.Serial == c.Serial) &&
		(r.SHA256 == "" || r.SHA256 == c.SHA256)
}

// TokenRule maps tokens of an OpenID Connect issuer to a principal.
type TokenRule struct {
	Principal object.Principal
	Issuer    string                  // its URL, exactly as its tokens have it
	Audience  string                  // an audience that the token must have
	Claims    map[string]object.Claim // claims that the token must have; a list has the accepted values
	CA        string                  // PEM file with the authorities of the issuer's server; "": those of the system
	Where     string                  // position for messages: "policy.hcl:12"
}

// Match reports whether the rule matches the verified claims of a token. A claim that is a list matches if one of its
// elements does.
func (r *TokenRule) Match(c *object.Claims) bool {
	if r.Issuer != c.Issuer || !slices.Contains(c.Values["aud"].All(), r.Audience) {
		return false
	}
	for name, want := range r.Claims {
		got, ok := c.Values[name]
		if !ok || !slices.ContainsFunc(got.All(), func(s string) bool { return slices.Contains(want.All(), s) }) {
			return false
		}
	}
	return true
}

// PrincipalsByCommonName returns the principals that certificates of an authority prove by their common name only. The
// authority's name constraints do not restrict common names.
func (p *Policy) PrincipalsByCommonName(ca string) []object.Principal {
	var out []object.Principal
	for _, r := range p.Certs {
		if r.CA == ca && r.CommonName != "" && r.DNS+r.URI+r.Serial+r.SHA256 == "" {
			out = append(out, r.Principal)
		}
	}
	return out
}

// RulesUsingCommonName returns the permits and forbids whose conditions read the common name of a certificate, as
// `policy.hcl:9 permit "x"`; sorted.
func (p *Policy) RulesUsingCommonName() []string {
	found := map[string]bool{}
	for who := range p.Subjects {
		permits, forbids := p.RulesAbout(who)
		for _, r := range append(permits, forbids...) {
			if r.When != nil && r.When.UsesCommonName {
				found[r.Reason] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}
