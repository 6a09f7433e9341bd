package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/object"
)

// ways are the ways of identification that exist.
var ways = []string{wayPeer}

// listener reads a listener block.
func (r *reader) listener(name string, b *hclsyntax.Block) {
	a := r.block(b, "address", "identify")
	r.require(b, a, "address")
	l := Listener{Name: name, Identify: slices.Clone(ways)}
	if s, at, ok := r.text(a, "address"); ok {
		addr, err := r.address(s)
		if err != nil {
			r.problems.add(at, err.Error(), "address %q cannot be listened on", s)
		}
		l.Address = addr
		for _, other := range r.p.Listeners {
			if err == nil && addr == other.Address && !strings.HasSuffix(addr, ":0") {
				r.problems.add(at, "", "listener %q has the address %q already", other.Name, s)
			}
		}
	}
	if list, ok := r.texts(a, "identify", "leave it out for "+strings.Join(ways, ", ")); ok {
		l.Identify = nil
		for _, e := range list {
			if !slices.Contains(ways, e.text) {
				r.problems.add(e.at, "there is: "+strings.Join(ways, ", "), "there is no way of identification %q", e.text)
			}
			l.Identify = append(l.Identify, e.text)
		}
	}
	r.p.Listeners = append(r.p.Listeners, l)
}

// address checks the form of a listener's address. The error is a hint.
func (r *reader) address(s string) (string, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if path == "" || path[0] == '@' || strings.IndexByte(path, 0) >= 0 {
			return "", errors.New("name the socket's path: unix:state/hearth.sock")
		}
		return "unix:" + r.path(path), nil
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		return "", errors.New("write 127.0.0.1:port, [::1]:port or unix:path")
	}
	if !ap.Addr().IsLoopback() || ap.Addr().Is4In6() || ap.Addr().Zone() != "" {
		return "", errors.New(`"peer" identifies users of this machine only: listen on 127.0.0.1, [::1] or unix:path`)
	}
	return ap.String(), nil
}

// principal reads a principal block: a name for one OS user.
func (r *reader) principal(name string, b *hclsyntax.Block) {
	at := b.LabelRanges[0]
	switch {
	case name == string(object.Anonymous):
		r.problems.add(at, "", "%q is the principal of everybody who is not identified, and cannot be declared", name)
	case strings.HasPrefix(name, objectPrefix):
		r.problems.add(at, "permits name it without a declaration", "%q is the principal of an object, and cannot be declared", name)
	case !validPrincipal(name):
		r.problems.add(at, "", "principal %q: a name has letters, digits, '_', '-', '.' and '@'", name)
	}
	who := object.Principal(name)
	r.principals[who] = struct{}{}
	a := r.block(b, "user", "uid", "host_user")
	if len(a) != 1 {
		r.problems.add(b.TypeRange, `write one of user = "name", uid = 1000, host_user = true`, "principal %q needs exactly one of user, uid and host_user, and has %d", name, len(a))
		return
	}
	uid, where, ok := r.user(a)
	if !ok {
		return
	}
	if first, taken := r.uids[uid]; taken {
		r.problems.add(where, "", "uid %d is principal %q already, in line %d", uid, r.p.byUID[uid], first.Start.Line)
		return
	}
	r.uids[uid], r.p.byUID[uid] = where, who
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
	uid, err := r.lookup(name)
	if err == nil && uid == 1<<32-1 {
		err = errNoAccount
	}
	if err != nil {
		r.problems.add(at, "", "user %q: %v", name, err)
		return 0, at, false
	}
	return uid, at, true
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

// tenant reads a tenant block, which has nothing in it yet.
func (r *reader) tenant(name string, b *hclsyntax.Block) {
	r.block(b)
	switch {
	case object.Tenant(name) == hostTenant:
		r.problems.add(b.LabelRanges[0], "", "tenant %q: ids beginning with it are the host's own", name)
		return
	case !object.ValidName(name):
		r.problems.add(b.LabelRanges[0], "", "tenant %q: a name has letters, digits, '_' and '-'", name)
		return
	}
	r.p.tenants[object.Tenant(name)] = struct{}{}
	r.p.Tenants = append(r.p.Tenants, object.Tenant(name))
}

// permit reads a permit block, after everything that it may refer to.
func (r *reader) permit(name string, b *hclsyntax.Block) {
	a := r.block(b, "principals", "objects", "methods", "tracebacks")
	r.require(b, a, "principals", "objects")
	compiled := &rule{
		name:   name,
		reason: fmt.Sprintf("%s:%d permit %q", r.file, b.TypeRange.Start.Line, name),
	}
	who, _ := r.texts(a, "principals", "name those who may")
	objects, _ := r.texts(a, "objects", "name those that may be called")
	methods, _ := r.texts(a, "methods", "leave it out for every exposed one")
	compiled.traceback, _ = r.flag(a, "tracebacks")
	for _, e := range objects {
		p, err := parsePattern(e.text)
		if err != nil {
			r.problems.add(e.at, err.Error(), "objects: %q is no pattern of objects", e.text)
			continue
		}
		if p.tenant != "*" {
			r.declared(p.tenant, e, "objects")
		}
		compiled.objects = append(compiled.objects, p)
	}
	if a["methods"] != nil {
		// Never nil once the file says something, however wrong: nil permits every method.
		compiled.methods = map[object.Method]struct{}{}
	}
	for _, e := range methods {
		if m := object.Method(e.text); m.Callable() {
			compiled.methods[m] = struct{}{}
			continue
		}
		hint := "a method is a letter, then letters, digits and '_'"
		if strings.Contains(e.text, "*") {
			hint = "leave methods out to permit every exposed one"
		}
		r.problems.add(e.at, hint, "methods: %q can never be called", e.text)
	}
	for _, e := range who {
		r.named(e)
		p := object.Principal(e.text)
		r.p.rules[p] = append(r.p.rules[p], compiled)
	}
}

// named complains unless a permit's principal is one.
func (r *reader) named(e element) {
	if e.text == string(object.Anonymous) {
		return
	}
	if id, ok := callingObject(object.Principal(e.text)); ok {
		if _, err := object.ParseID(string(id)); err != nil {
			r.problems.add(e.at, "write object:<tenant>.<name>; it is one object, not a pattern", "principals: %q is no object", e.text)
			return
		}
		r.declared(id.Tenant(), e, "principals")
		return
	}
	if _, ok := r.principals[object.Principal(e.text)]; ok {
		return
	}
	names := []string{string(object.Anonymous)}
	for p := range r.principals {
		names = append(names, string(p))
	}
	slices.Sort(names)
	hint := near(e.text, names)
	if hint == "" {
		hint = fmt.Sprintf("declare it: principal %q { user = \"…\" }", e.text)
	}
	r.problems.add(e.at, hint, "principals: there is no principal %q", e.text)
}

// declared complains unless a tenant is.
func (r *reader) declared(t object.Tenant, e element, attribute string) {
	if _, ok := r.p.tenants[t]; ok {
		return
	}
	if t == hostTenant {
		r.problems.add(e.at, "", "%s: %q: the host's own objects are not the policy's business", attribute, e.text)
		return
	}
	var names []string
	for _, name := range r.p.Tenants {
		names = append(names, string(name))
	}
	slices.Sort(names)
	hint := near(string(t), names)
	if hint == "" {
		hint = fmt.Sprintf("declare it: tenant %q {}", t)
	}
	r.problems.add(e.at, hint, "%s: %q: there is no tenant %q", attribute, e.text, t)
}
