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
