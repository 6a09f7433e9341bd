package policyfile

import (
	"encoding/hex"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/policyfile/account"
	"github.com/hearthhost/hearth/policy/syntax"
)

// principal reads a principal block: a name and its proofs.
func (r *reader) principal(name string, b *hclsyntax.Block) {
	at := b.LabelRanges[0]
	who := object.Principal(name)
	_, isObject := who.Object()
	switch {
	case who == object.Anonymous:
		r.Problems.Add(at, "", "%q is the principal of unidentified callers and cannot be declared", name)
	case isWebhook(who):
		r.Problems.Add(at, "declare it by a block webhook \"name\" { … }",
			"%q is the principal of a webhook", name)
	case isObject:
		r.Problems.Add(at, "use it in permits without a declaration",
			"%q is the principal of an object, and cannot be declared", name)
	case !validPrincipal(name):
		r.Problems.Add(at, "", "principal %q: a name must consist of letters, digits, '_', '-', '.' and '@'", name)
	}
	r.principals[who] = struct{}{}
	a := r.BlockWith(b, []string{"cert", "oidc"}, "user", "uid", "host_user", "keys", "bearer", "pyro4_keys", "tenant")
	if t, at, ok := r.Text(a, "tenant"); ok {
		r.def.Owners[who] = object.Tenant(t)
		r.ownerTenants = append(r.ownerTenants, syntax.Element{Text: t, At: at})
	}
	proofs, users := 0, syntax.Attributes{}
	for name, attr := range a {
		if name == "tenant" {
			continue // not a proof
		}
		proofs++
		if name != "keys" && name != "bearer" && name != "pyro4_keys" {
			users[name] = attr
		}
	}
	for _, inner := range b.Body.Blocks {
		switch inner.Type {
		case "cert":
			proofs++
			r.cert(who, inner)
		case "oidc":
			proofs++
			r.oidc(who, inner)
		}
	}
	if proofs == 0 {
		r.Problems.Add(b.TypeRange,
			`write user = "name", uid = 1000, host_user = true, keys = ["file"], bearer = ["file"], cert { … } or `+
				`oidc { … }`, "principal %q has no proof", name)
		return
	}
	r.def.Keys = append(r.def.Keys, r.keyFiles(who, a, "keys")...)
	r.def.BearerKeys = append(r.def.BearerKeys, r.keyFiles(who, a, "bearer")...)
	r.def.LegacyKeys = append(r.def.LegacyKeys, r.keyFiles(who, a, "pyro4_keys")...)
	switch len(users) {
	case 0:
	case 1:
		r.account(who, users)
	default:
		r.Problems.Add(b.TypeRange, "", "principal %q must have only one of user, uid and host_user", name)
	}
}

// isWebhook reports whether a name is that of a webhook's principal.
func isWebhook(who object.Principal) bool {
	_, yes := who.Webhook()
	return yes
}

// validPrincipal reports whether s is a valid name of a principal: ASCII that is unambiguous in a log.
func validPrincipal(s string) bool {
	return object.ValidName(strings.Map(func(c rune) rune {
		if c == '.' || c == '@' {
			return '_'
		}
		return c
	}, s))
}

// nobodyUID is the user id of the shared unprivileged account. The kernel also reports it for users of other user
// namespaces.
const nobodyUID = 65534

// account assigns a principal the user id of its one attribute.
func (r *reader) account(who object.Principal, users syntax.Attributes) {
	uid, where, ok := r.user(users)
	if !ok {
		return
	}
	if first, exists := r.uids[uid]; exists {
		r.Problems.Add(where, "", "uid %d is already principal %q in line %d", uid, r.def.Users[uid], first.Start.Line)
		return
	}
	r.uids[uid], r.def.Users[uid] = where, who
	if users["host_user"] != nil {
		return
	}
	user, _, _ := r.Text(users, "user")
	switch {
	case uid == 0:
		r.def.Warnings.Add(where, "use an ordinary user or a key",
			"principal %q is root: clients of a relay that root runs (a proxy, ssh -L, a container on the host's "+
				"network) are this principal too", who)
	case uid == nobodyUID || user == "nobody": // on some systems the account has another uid
		r.def.Warnings.Add(where, "create a user for the calling program",
			"principal %q is the shared unprivileged user: so are many services, "+
				"and users of containers that are unknown to the kernel", who)
	}
}

// keyFiles reads a list of key files. A file proves one principal only.
func (r *reader) keyFiles(who object.Principal, a syntax.Attributes, name string) []policy.KeyFile {
	var out []policy.KeyFile
	list, _ := r.Texts(a, name, "omit it for no files")
	for _, e := range list {
		path := r.FileOf(e, name)
		if path == "" {
			continue
		}
		same := func(k policy.KeyFile) bool { return k.Path == path }
		if slices.ContainsFunc(slices.Concat(r.def.Keys, r.def.BearerKeys, r.def.LegacyKeys, out), same) {
			r.Problems.Add(e.At, "", "%s: %q is already a key file of a principal", name, e.Text)
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

// certificate reads the attributes of a cert block that match certificates.
func (r *reader) certificate(b *hclsyntax.Block) (policy.CertRule, syntax.Attributes) {
	a := r.Block(b, "ca", "common_name", "dns", "uri", "serial", "sha256")
	r.Unnamed(b)
	var rule policy.CertRule
	for name, to := range map[string]*string{"common_name": &rule.CommonName, "dns": &rule.DNS, "uri": &rule.URI,
		"serial": &rule.Serial, "sha256": &rule.SHA256} {
		s, at, ok := r.Text(a, name)
		if ok && s == "" {
			r.Problems.Add(at, "remove it", "%s: an empty string matches no certificate", name)
		}
		*to = s
	}
	if rule.CommonName+rule.DNS+rule.URI+rule.Serial+rule.SHA256 == "" {
		r.Problems.Add(b.TypeRange, "write common_name, dns, uri, serial or sha256",
			"cert block must select certificates of the authority")
	}
	if rule.Serial != "" {
		rule.Serial = r.hexadecimal(a, "serial", rule.Serial, 0)
	}
	if rule.SHA256 != "" {
		rule.SHA256 = r.hexadecimal(a, "sha256", rule.SHA256, 64)
	}
	return rule, a
}

// authority returns the certificate authority of a cert block: the one that it names, or the only one of the
// listeners.
func (r *reader) authority(a syntax.Attributes, b *hclsyntax.Block) string {
	if s, at, ok := r.Text(a, "ca"); ok {
		path := r.FileOf(syntax.Element{Text: s, At: at}, "ca")
		if path != "" && !slices.Contains(r.authorities, path) {
			r.Problems.Add(at, "name a file that a listener has as client_ca", "no listener accepts certificates of %q",
				s)
		}
		return path
	}
	switch len(r.authorities) {
	case 1:
		return r.authorities[0]
	case 0:
		r.Problems.Add(b.TypeRange, "add tls { client_ca = … } to a listener", "no listener accepts certificates")
	default:
		r.Problems.Add(b.TypeRange, "add ca = …",
			"listeners accept certificates of several authorities: name one")
	}
	return ""
}

// hexadecimal returns a number in the form in which certificates are compared. digits is its number of digits; 0 for
// any.
func (r *reader) hexadecimal(a syntax.Attributes, name, s string, digits int) string {
	plain := strings.ToLower(strings.ReplaceAll(s, ":", ""))
	even := plain
	if digits == 0 {
		plain = strings.TrimLeft(plain, "0")
		even = strings.Repeat("0", len(plain)%2) + plain
	}
	if _, err := hex.DecodeString(even); err != nil || plain == "" || len(plain) > 64 || digits > 0 &&
		len(plain) != digits {
		want := "hexadecimal digits"
		if digits > 0 {
			want = "64 hexadecimal digits"
		}
		r.Problems.Add(a[name].Expr.Range(), "openssl and hearth ca show print it", "%s: must be %s", name, want)
	}
	return plain
}

// user returns the user id of a principal's one attribute.
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
			r.Problems.Add(at, `write host_user = true, or name another user`, "host_user = false does not name a user")
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

// accountUID returns the user id of an OS account. at is its position in the file.
func (r *reader) accountUID(name string, at hcl.Range) (uid uint32, ok bool) {
	uid, err := r.lookup(name)
	if err == nil && uid == 1<<32-1 {
		err = account.ErrNotFound
	}
	if err != nil {
		r.Problems.Add(at, "", "user %q: %v", name, err)
	}
	return uid, err == nil
}
