package policyfile

import (
	"encoding/hex"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/syntax"
)

// principal reads a principal block: a name and what proves it.
func (r *reader) principal(name string, b *hclsyntax.Block) {
	at := b.LabelRanges[0]
	who := object.Principal(name)
	_, isObject := who.Object()
	switch {
	case who == object.Anonymous:
		r.Problems.Add(at, "", "%q is the principal of everybody who is not identified, and cannot be declared", name)
	case isObject:
		r.Problems.Add(at, "permits name it without a declaration", "%q is the principal of an object, and cannot be declared", name)
	case !validPrincipal(name):
		r.Problems.Add(at, "", "principal %q: a name has letters, digits, '_', '-', '.' and '@'", name)
	}
	r.principals[who] = struct{}{}
	a := r.BlockWith(b, []string{"cert"}, "user", "uid", "host_user", "keys", "pyro4_keys", "tenant")
	if t, at, ok := r.Text(a, "tenant"); ok {
		r.def.Owners[who] = object.Tenant(t)
		r.ownerTenants = append(r.ownerTenants, syntax.Element{Text: t, At: at})
	}
	proofs, users := 0, syntax.Attributes{}
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
		r.Problems.Add(b.TypeRange, `write user = "name", uid = 1000, host_user = true, keys = ["file"] or cert { … }`, "nothing proves to be principal %q", name)
		return
	}
	r.def.Keys = append(r.def.Keys, r.keyFiles(who, a, "keys")...)
	r.def.LegacyKeys = append(r.def.LegacyKeys, r.keyFiles(who, a, "pyro4_keys")...)
	switch len(users) {
	case 0:
	case 1:
		r.account(who, users)
	default:
		r.Problems.Add(b.TypeRange, "", "principal %q is one OS user: write one of user, uid and host_user", name)
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
func (r *reader) account(who object.Principal, users syntax.Attributes) {
	uid, where, ok := r.user(users)
	if !ok {
		return
	}
	if first, taken := r.uids[uid]; taken {
		r.Problems.Add(where, "", "uid %d is principal %q already, in line %d", uid, r.def.Users[uid], first.Start.Line)
		return
	}
	r.uids[uid], r.def.Users[uid] = where, who
	if users["host_user"] != nil {
		return
	}
	user, _, _ := r.Text(users, "user")
	switch {
	case uid == 0:
		r.def.Warnings.Add(where, "give principals to ordinary users, or keys",
			"principal %q is root: who reaches a relay that root runs (a proxy, ssh -L, a container on the host's network) is this principal too", who)
	case uid == nobodyUID || user == "nobody": // some systems give the account another uid
		r.def.Warnings.Add(where, "create a user for the program that calls",
			"principal %q is user nobody: so are many services, and users of containers that the kernel cannot name", who)
	}
}

// keyFiles reads a list of files with keys. A file proves to be one principal only.
func (r *reader) keyFiles(who object.Principal, a syntax.Attributes, name string) []policy.KeyFile {
	var out []policy.KeyFile
	list, _ := r.Texts(a, name, "leave it out for none")
	for _, e := range list {
		path := r.FileOf(e, name)
		if path == "" {
			continue
		}
		same := func(k policy.KeyFile) bool { return k.Path == path }
		if slices.ContainsFunc(r.def.Keys, same) || slices.ContainsFunc(r.def.LegacyKeys, same) || slices.ContainsFunc(out, same) {
			r.Problems.Add(e.At, "", "%s: %q is a key file of this or another principal already", name, e.Text)
			continue
		}
		out = append(out, policy.KeyFile{Principal: who, Path: path, Where: r.Where(e.At)})
	}
	return out
}

// cert reads a cert block of a principal.
func (r *reader) cert(who object.Principal, b *hclsyntax.Block) {
	rule, a := r.certificate(b)
	rule.Principal = who
	rule.CA = r.authority(a, b)
	r.def.Certs = append(r.def.Certs, rule)
}

// certificate reads what a cert block says of certificates.
func (r *reader) certificate(b *hclsyntax.Block) (policy.CertRule, syntax.Attributes) {
	a := r.Block(b, "ca", "common_name", "dns", "uri", "serial", "sha256")
	r.Unnamed(b)
	var rule policy.CertRule
	for name, to := range map[string]*string{"common_name": &rule.CommonName, "dns": &rule.DNS, "uri": &rule.URI, "serial": &rule.Serial, "sha256": &rule.SHA256} {
		s, at, ok := r.Text(a, name)
		if ok && s == "" {
			r.Problems.Add(at, "leave it out", "%s: an empty text matches nothing", name)
		}
		*to = s
	}
	if rule.CommonName+rule.DNS+rule.URI+rule.Serial+rule.SHA256 == "" {
		r.Problems.Add(b.TypeRange, "write common_name, dns, uri, serial or sha256", "which certificates of the authority are meant")
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
func (r *reader) authority(a syntax.Attributes, b *hclsyntax.Block) string {
	if s, at, ok := r.Text(a, "ca"); ok {
		path := r.FileOf(syntax.Element{Text: s, At: at}, "ca")
		if path != "" && !slices.Contains(r.authorities, path) {
			r.Problems.Add(at, "name a file that a listener has as client_ca", "no listener takes certificates of %q", s)
		}
		return path
	}
	switch len(r.authorities) {
	case 1:
		return r.authorities[0]
	case 0:
		r.Problems.Add(b.TypeRange, "add tls { client_ca = … } to a listener", "no listener takes certificates")
	default:
		r.Problems.Add(b.TypeRange, "add ca = …", "listeners take certificates of several authorities: which one issues these")
	}
	return ""
}

// hexadecimal returns a number in the form in which certificates are compared; n is how
// many digits it has, 0 any.
func (r *reader) hexadecimal(a syntax.Attributes, name, s string, n int) string {
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
		r.Problems.Add(a[name].Expr.Range(), "openssl and hearth ca show print it", "%s: want %s", name, want)
	}
	return plain
}

// user returns the user id that a principal's one attribute stands for.
func (r *reader) user(a syntax.Attributes) (uid uint32, at hcl.Range, ok bool) {
	for _, attr := range a {
		at = attr.Expr.Range()
	}
	if a["host_user"] != nil {
		yes, ok := r.Flag(a, "host_user")
		if ok && yes && r.hostErr != nil {
			r.Problems.Add(at, "write uid = 1000 or user = \"name\"", "host_user: %v", r.hostErr)
			return 0, at, false
		}
		if ok && !yes {
			r.Problems.Add(at, `write host_user = true, or name another user`, "host_user = false names nobody")
		}
		return r.hostUID, at, ok && yes
	}
	if a["uid"] != nil {
		uid, ok = r.UID(a, "uid")
		return uid, at, ok
	}
	name, at, ok := r.Text(a, "user")
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
		r.Problems.Add(at, "", "user %q: %v", account, err)
	}
	return uid, err == nil
}
