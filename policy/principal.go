package policy

import (
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/object"
)

// KeyFile is a file of keys that prove to be a principal.
type KeyFile struct {
	Principal object.Principal
	Path      string // absolute
	Where     string // for messages: "policy.hcl:12"
}

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

// principal reads a principal block: a name and what proves it.
func (r *reader) principal(name string, b *hclsyntax.Block) {
	at := b.LabelRanges[0]
	who := object.Principal(name)
	_, isObject := who.Object()
	switch {
	case who == object.Anonymous:
		r.problems.Add(at, "", "%q is the principal of everybody who is not identified, and cannot be declared", name)
	case isObject:
		r.problems.Add(at, "permits name it without a declaration", "%q is the principal of an object, and cannot be declared", name)
	case !validPrincipal(name):
		r.problems.Add(at, "", "principal %q: a name has letters, digits, '_', '-', '.' and '@'", name)
	}
	r.principals[who] = struct{}{}
	a := r.blockWith(b, []string{"cert"}, "user", "uid", "host_user", "keys", "pyro4_keys", "tenant")
	if t, at, ok := r.text(a, "tenant"); ok {
		r.p.Owners[who] = object.Tenant(t)
		r.homeless = append(r.homeless, element{t, at})
	}
	proofs, users := 0, attributes{}
	for name, attr := range a {
		if name == "tenant" {
			continue // says whose it is, and proves nothing
		}
		proofs++
		if name != "keys" && name != "pyro4_keys" {
			users[name] = attr
		}
	}
	for _, inner := range b.Body.Blocks {
		if inner.Type == "cert" {
			proofs++
			r.cert(who, inner)
		}
	}
	if proofs == 0 {
		r.problems.Add(b.TypeRange, `write user = "name", uid = 1000, host_user = true, keys = ["file"] or cert { … }`, "nothing proves to be principal %q", name)
		return
	}
	r.p.Keys = append(r.p.Keys, r.keyFiles(who, a, "keys")...)
	r.p.LegacyKeys = append(r.p.LegacyKeys, r.keyFiles(who, a, "pyro4_keys")...)
	switch len(users) {
	case 0:
	case 1:
		r.account(who, users)
	default:
		r.problems.Add(b.TypeRange, "", "principal %q is one OS user: write one of user, uid and host_user", name)
	}
}

// validPrincipal reports whether s may be a principal's name: ASCII that looks like
// what it is, in a log too.
func validPrincipal(s string) bool {
	return object.ValidName(strings.Map(func(c rune) rune {
		if c == '.' || c == '@' {
			return '_'
		}
		return c
	}, s))
}

// nobodyUID is the user id of nobody, which is also the kernel's for users of other user namespaces.
const nobodyUID = 65534

// account gives a principal the user id that its one attribute stands for.
func (r *reader) account(who object.Principal, users attributes) {
	uid, where, ok := r.user(users)
	if !ok {
		return
	}
	if first, taken := r.uids[uid]; taken {
		r.problems.Add(where, "", "uid %d is principal %q already, in line %d", uid, r.p.Users[uid], first.Start.Line)
		return
	}
	r.uids[uid], r.p.Users[uid] = where, who
	if users["host_user"] != nil {
		return
	}
	user, _, _ := r.text(users, "user")
	switch {
	case uid == 0:
		r.p.Warnings.Add(where, "give principals to ordinary users, or keys",
			"principal %q is root: who reaches a relay that root runs (a proxy, ssh -L, a container on the host's network) is this principal too", who)
	case uid == nobodyUID || user == "nobody": // some systems give the account another uid
		r.p.Warnings.Add(where, "create a user for the program that calls",
			"principal %q is user nobody: so are many services, and users of containers that the kernel cannot name", who)
	}
}

// keyFiles reads a list of files with keys. A file proves to be one principal only.
func (r *reader) keyFiles(who object.Principal, a attributes, name string) []KeyFile {
	var out []KeyFile
	list, _ := r.texts(a, name, "leave it out for none")
	for _, e := range list {
		path := r.fileOf(e, name)
		if path == "" {
			continue
		}
		same := func(k KeyFile) bool { return k.Path == path }
		if slices.ContainsFunc(r.p.Keys, same) || slices.ContainsFunc(r.p.LegacyKeys, same) || slices.ContainsFunc(out, same) {
			r.problems.Add(e.at, "", "%s: %q is a key file of this or another principal already", name, e.text)
			continue
		}
		out = append(out, KeyFile{Principal: who, Path: path, Where: r.where(e.at)})
	}
	return out
}

// cert reads a cert block of a principal.
func (r *reader) cert(who object.Principal, b *hclsyntax.Block) {
	rule, a := r.certificate(b)
	rule.Principal = who
	rule.CA = r.authority(a, b)
	r.p.Certs = append(r.p.Certs, rule)
}

// certificate reads what a cert block says of certificates.
func (r *reader) certificate(b *hclsyntax.Block) (CertRule, attributes) {
	a := r.block(b, "ca", "common_name", "dns", "uri", "serial", "sha256")
	r.unnamed(b)
	var rule CertRule
	for name, to := range map[string]*string{"common_name": &rule.CommonName, "dns": &rule.DNS, "uri": &rule.URI, "serial": &rule.Serial, "sha256": &rule.SHA256} {
		s, at, ok := r.text(a, name)
		if ok && s == "" {
			r.problems.Add(at, "leave it out", "%s: an empty text matches nothing", name)
		}
		*to = s
	}
	if rule.CommonName+rule.DNS+rule.URI+rule.Serial+rule.SHA256 == "" {
		r.problems.Add(b.TypeRange, "write common_name, dns, uri, serial or sha256", "which certificates of the authority are meant")
	}
	if rule.Serial != "" {
		rule.Serial = r.hexadecimal(a, "serial", rule.Serial, 0)
	}
	if rule.SHA256 != "" {
		rule.SHA256 = r.hexadecimal(a, "sha256", rule.SHA256, 64)
	}
	return rule, a
}

// authority returns under whose authority a cert block's certificates stand: the one
// that it names, or the only one there is.
func (r *reader) authority(a attributes, b *hclsyntax.Block) string {
	if s, at, ok := r.text(a, "ca"); ok {
		path := r.fileOf(element{s, at}, "ca")
		if path != "" && !slices.Contains(r.authorities, path) {
			r.problems.Add(at, "name a file that a listener has as client_ca", "no listener takes certificates of %q", s)
		}
		return path
	}
	switch len(r.authorities) {
	case 1:
		return r.authorities[0]
	case 0:
		r.problems.Add(b.TypeRange, "add tls { client_ca = … } to a listener", "no listener takes certificates")
	default:
		r.problems.Add(b.TypeRange, "add ca = …", "listeners take certificates of several authorities: which one issues these")
	}
	return ""
}

// hexadecimal returns a number in the form in which certificates are compared; n is how
// many digits it has, 0 any.
func (r *reader) hexadecimal(a attributes, name, s string, n int) string {
	plain := strings.ToLower(strings.ReplaceAll(s, ":", ""))
	even := plain
	if n == 0 {
		plain = strings.TrimLeft(plain, "0")
		even = strings.Repeat("0", len(plain)%2) + plain
	}
	if _, err := hex.DecodeString(even); err != nil || plain == "" || len(plain) > 64 || n > 0 && len(plain) != n {
		want := "hexadecimal digits"
		if n > 0 {
			want = "64 hexadecimal digits"
		}
		r.problems.Add(a[name].Expr.Range(), "openssl and hearth ca show print it", "%s: want %s", name, want)
	}
	return plain
}

// user returns the user id that a principal's one attribute stands for.
func (r *reader) user(a attributes) (uid uint32, at hcl.Range, ok bool) {
	for _, attr := range a {
		at = attr.Expr.Range()
	}
	if a["host_user"] != nil {
		yes, ok := r.flag(a, "host_user")
		if ok && yes && r.hostErr != nil {
			r.problems.Add(at, "write uid = 1000 or user = \"name\"", "host_user: %v", r.hostErr)
			return 0, at, false
		}
		if ok && !yes {
			r.problems.Add(at, `write host_user = true, or name another user`, "host_user = false names nobody")
		}
		return r.hostUID, at, ok && yes
	}
	if a["uid"] != nil {
		uid, ok = r.uid(a, "uid")
		return uid, at, ok
	}
	name, at, ok := r.text(a, "user")
	if !ok {
		return 0, at, false
	}
	uid, ok = r.accountUID(name, at)
	return uid, at, ok
}

// accountUID returns the user id of an OS account, which stands at a place of the file.
func (r *reader) accountUID(account string, at hcl.Range) (uid uint32, ok bool) {
	uid, err := r.lookup(account)
	if err == nil && uid == 1<<32-1 {
		err = errNoAccount
	}
	if err != nil {
		r.problems.Add(at, "", "user %q: %v", account, err)
	}
	return uid, err == nil
}
