package policyfile

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/syntax"
)

// maxSecrets bounds the secrets of one tenant: all are sent to its worker.
const maxSecrets = 64

// secret reads a secret block of a tenant.
func (r *reader) secret(tenant object.Tenant, b *hclsyntax.Block) {
	a := r.Block(b, "file", "age", "objects")
	if len(b.Labels) != 1 || !object.ValidName(b.Labels[0]) {
		r.Problems.Add(b.TypeRange, `write secret "name" { … }`,
			"a secret must have one name, of letters, digits, '_' and '-'")
		return
	}
	s := policy.Secret{Tenant: tenant, Name: b.Labels[0]}
	n := 0
	for _, other := range r.def.Secrets {
		if other.Tenant != tenant {
			continue
		}
		if n++; other.Name == s.Name {
			r.Problems.Add(b.LabelRanges[0], "", "tenant %q already has a secret %q at %s", tenant, s.Name,
				other.Where)
			return
		}
	}
	if n >= maxSecrets {
		r.Problems.Add(b.TypeRange, "", "tenant %q has more than %d secrets", tenant, maxSecrets)
		return
	}
	kind := "file"
	switch {
	case a["file"] != nil && a["age"] != nil:
		r.Problems.Add(b.TypeRange, "", "secret %q must have only one of file and age", s.Name)
		return
	case a["age"] != nil:
		kind = "age"
		if s.Identity = r.identity; s.Identity == "" && !r.identitySet {
			r.Problems.Add(a["age"].NameRange, `write identity = "keys/host.age" at the top of the file`,
				"secret %q is encrypted, and the policy has no identity to decrypt it", s.Name)
		}
	case a["file"] == nil:
		r.Problems.Add(b.TypeRange, "add file = … or age = …", "a secret needs file or age")
	}
	if text, at, ok := r.Text(a, kind); ok {
		s.Path, s.Where = r.secretFile(syntax.Element{Text: text, At: at}, kind), r.Position(at)
	}
	if a["objects"] == nil {
		r.unread = append(r.unread, unreadSecret{len(r.def.Secrets), b.TypeRange})
	}
	list, _ := r.Texts(a, "objects", "name the objects with access")
	for _, e := range list {
		r.grantees = append(r.grantees, grantee{tenant, e})
		s.Objects = append(s.Objects, object.ID(e.Text))
	}
	r.def.Secrets = append(r.def.Secrets, s)
}

// secretFile returns the path of a secret's file, which must not have another use.
func (r *reader) secretFile(e syntax.Element, name string) string {
	path := r.FileOf(e, name)
	if path == "" {
		return ""
	}
	same := func(k policy.KeyFile) bool { return k.Path == path }
	for _, other := range r.def.Secrets {
		if other.Path == path {
			r.Problems.Add(e.At, "use one file for each secret",
				"%s: %q is already the file of secret %q of tenant %q", name, e.Text, other.Name, other.Tenant)
			return ""
		}
	}
	if path == r.identity ||
		slices.ContainsFunc(slices.Concat(r.def.Keys, r.def.BearerKeys, r.def.LegacyKeys), same) {
		r.Problems.Add(e.At, "", "%s: %q is a key file and cannot be a secret of scripts", name, e.Text)
		return ""
	}
	return path
}

// grantee is an object with access to a tenant's secret.
type grantee struct {
	tenant object.Tenant
	syntax.Element
}

// unreadSecret is a secret that no object can read.
type unreadSecret struct {
	index int // in the secrets of the definition
	at    hcl.Range
}

// checkUnread reports secrets that nothing uses. It runs after all tenants and webhooks are read.
func (r *reader) checkUnread() {
	for _, u := range r.unread {
		if s := &r.def.Secrets[u.index]; !r.def.HostUses(s) {
			r.Problems.Add(u.at, "add objects = …, or name it in an egress block or a webhook",
				"a secret needs objects: no object, egress block or webhook uses secret %q", s.Name)
		}
	}
}

// checkGrantees checks the objects of secrets. It runs after all tenants are read.
func (r *reader) checkGrantees() {
	for _, g := range r.grantees {
		id, err := object.ParseID(g.Text)
		switch {
		case err != nil:
			r.Problems.Add(g.At, fmt.Sprintf(`write the whole id: "%s.name"`, g.tenant),
				"objects: %q is not an object id", g.Text)
		case id.Tenant() != g.tenant:
			if _, ok := r.def.Settings[id.Tenant()]; ok {
				r.Problems.Add(g.At, "name objects of the same tenant",
					"objects: %q is an object of tenant %q, but the secret belongs to tenant %q",
					g.Text, id.Tenant(), g.tenant)
				continue
			}
			r.CheckTenant(id.Tenant(), g.Element, "objects")
		}
	}
}
