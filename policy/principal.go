package policy

import (
	"maps"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/object"
)

// CertRule says whose certificate one is. Empty fields match anything.
type CertRule struct {
	Principal                                object.Principal
	CA, CommonName, DNS, URI, Serial, SHA256 string
}

func (r *CertRule) Match(c *object.Certificate) bool {
	return r.CA == c.CA &&
		(r.CommonName == "" || r.CommonName == c.CommonName) &&
		(r.DNS == "" || slices.ContainsFunc(c.DNS, func(s string) bool { return strings.EqualFold(r.DNS, s) })) &&
		(r.URI == "" || slices.Contains(c.URIs, r.URI)) &&
		(r.Serial == "" || r.Serial == c.Serial) &&
		(r.SHA256 == "" || r.SHA256 == c.SHA256)
}

// PrincipalsByCommonName returns the principals that certificates of an authority prove by their common name and
// nothing that name constraints bind.
func (p *Policy) PrincipalsByCommonName(ca string) []object.Principal {
	var out []object.Principal
	for _, r := range p.Certs {
		if r.CA == ca && r.CommonName != "" && r.DNS+r.URI+r.Serial+r.SHA256 == "" {
			out = append(out, r.Principal)
		}
	}
	return out
}

// RulesUsingCommonName returns the permits and forbids whose conditions ask for the common name of a certificate, as
// `policy.hcl:9 permit "x"`, sorted.
func (p *Policy) RulesUsingCommonName() []string {
	asking := map[string]bool{}
	for who := range p.Subjects {
		permits, forbids := p.RulesAbout(who)
		for _, r := range append(permits, forbids...) {
			if r.When != nil && r.When.UsesCommonName {
				asking[r.Reason] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(asking))
}
