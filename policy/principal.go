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

// certRule says whose certificate one is. Empty fields match anything.
type certRule struct {
	principal                                object.Principal
	ca, commonName, dns, uri, serial, sha256 string
}

func (r *certRule) match(c *object.Certificate) bool {
	return r.ca == c.CA &&
		(r.commonName == "" || r.commonName == c.CommonName) &&
		(r.dns == "" || slices.ContainsFunc(c.DNS, func(s string) bool { return strings.EqualFold(r.dns, s) })) &&
		(r.uri == "" || slices.Contains(c.URIs, r.uri)) &&
		(r.serial == "" || r.serial == c.Serial) &&
		(r.sha256 == "" || r.sha256 == c.SHA256)
}

// ByCommonName returns the principals that certificates of an authority prove by their common name and
// nothing that name constraints bind.
func (p *Policy) ByCommonName(ca string) []object.Principal {
	var out []object.Principal
	for _, r := range p.certs {
		if r.ca == ca && r.commonName != "" && r.dns+r.uri+r.serial+r.sha256 == "" {
			out = append(out, r.principal)
		}
	}
	return out
}

// AskingCommonName returns the permits and forbids whose conditions ask for the common name of a certificate, as
// `policy.hcl:9 permit "x"`, sorted.
func (p *Policy) AskingCommonName() []string {
	asking := map[string]bool{}
	for who := range p.subjects {
		permits, forbids := p.rulesAbout(who)
		for _, r := range append(permits, forbids...) {
			if r.when != nil && r.when.asksCommonName {
				asking[r.reason] = true
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
		r.problems.add(at, "", "%q is the principal of everybody who is not identified, and cannot be declared", name)
	case isObject:
		r.problems.add(at, "permits name it without a declaration", "%q is the principal of an object, and cannot be declared", name)
	case !validPrincipal(name):
		r.problems.add(at, "", "principal %q: a name has letters, digits, '_', '-', '.' and '@'", name)
	}
	r.principals[who] = struct{}{}
	a := r.blockWith(b, []string{"cert"}, "user", "uid", "host_user", "keys", "pyro4_keys", "tenant")
	if t, at, ok := r.text(a, "tenant"); ok {
		r.p.homes[who] = object.Tenant(t)
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
		r.problems.add(b.TypeRange, `write user = "name", uid = 1000, host_user = true, keys = ["file"] or cert { … }`, "nothing proves to be principal %q", name)
		return
	}
	r.p.Keys = append(r.p.Keys, r.keyFiles(who, a, "keys")...)
	r.p.LegacyKeys = append(r.p.LegacyKeys, r.keyFiles(who, a, "pyro4_keys")...)
	switch len(users) {
	case 0:
	case 1:
		r.account(who, users)
	default:
		r.problems.add(b.TypeRange, "", "principal %q is one OS user: write one of user, uid and host_user", name)
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
		r.problems.add(where, "", "uid %d is principal %q already, in line %d", uid, r.p.byUID[uid], first.Start.Line)
		return
	}
	r.uids[uid], r.p.byUID[uid] = where, who
	if users["host_user"] != nil {
		return
	}
	user, _, _ := r.text(users, "user")
	switch {
	case uid == 0:
		r.p.Warnings.add(where, "give principals to ordinary users, or keys",
			"principal %q is root: who reaches a relay that root runs (a proxy, ssh -L, a container on the host's network) is this principal too", who)
	case uid == nobodyUID || user == "nobody": // some systems give the account another uid
		r.p.Warnings.add(where, "create a user for the program that calls",
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
			r.problems.add(e.at, "", "%s: %q is a key file of this or another principal already", name, e.text)
			continue
		}
		out = append(out, KeyFile{Principal: who, Path: path, Where: r.where(e.at)})
	}
	return out
}

// cert reads a cert block of a principal.
func (r *reader) cert(who object.Principal, b *hclsyntax.Block) {
	rule, a := r.certificate(b)
	rule.principal = who
	rule.ca = r.authority(a, b)
	r.p.certs = append(r.p.certs, rule)
}

// certificate reads what a cert block says of certificates.
func (r *reader) certificate(b *hclsyntax.Block) (certRule, attributes) {
	a := r.block(b, "ca", "common_name", "dns", "uri", "serial", "sha256")
	r.unnamed(b)
	var rule certRule
	for name, to := range map[string]*string{"common_name": &rule.commonName, "dns": &rule.dns, "uri": &rule.uri, "serial": &rule.serial, "sha256": &rule.sha256} {
		s, at, ok := r.text(a, name)
		if ok && s == "" {
			r.problems.add(at, "leave it out", "%s: an empty text matches nothing", name)
		}
		*to = s
	}
	if rule.commonName+rule.dns+rule.uri+rule.serial+rule.sha256 == "" {
		r.problems.add(b.TypeRange, "write common_name, dns, uri, serial or sha256", "which certificates of the authority are meant")
	}
	if rule.serial != "" {
		rule.serial = r.hexadecimal(a, "serial", rule.serial, 0)
	}
	if rule.sha256 != "" {
		rule.sha256 = r.hexadecimal(a, "sha256", rule.sha256, 64)
	}
	return rule, a
}

// authority returns under whose authority a cert block's certificates stand: the one
// that it names, or the only one there is.
func (r *reader) authority(a attributes, b *hclsyntax.Block) string {
	if s, at, ok := r.text(a, "ca"); ok {
		path := r.fileOf(element{s, at}, "ca")
		if path != "" && !slices.Contains(r.authorities, path) {
			r.problems.add(at, "name a file that a listener has as client_ca", "no listener takes certificates of %q", s)
		}
		return path
	}
	switch len(r.authorities) {
	case 1:
		return r.authorities[0]
	case 0:
		r.problems.add(b.TypeRange, "add tls { client_ca = … } to a listener", "no listener takes certificates")
	default:
		r.problems.add(b.TypeRange, "add ca = …", "listeners take certificates of several authorities: which one issues these")
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
		r.problems.add(a[name].Expr.Range(), "openssl and hearth ca show print it", "%s: want %s", name, want)
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
			r.problems.add(at, "write uid = 1000 or user = \"name\"", "host_user: %v", r.hostErr)
			return 0, at, false
		}
		if ok && !yes {
			r.problems.add(at, `write host_user = true, or name another user`, "host_user = false names nobody")
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
		r.problems.add(at, "", "user %q: %v", account, err)
	}
	return uid, err == nil
}
