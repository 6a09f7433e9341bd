// Package policy reads policy.hcl and decides. A Policy is immutable; deciding is a pure
// function of it, the caller and what is asked, and denies unless a rule permits.
package policy

import (
	"path/filepath"
	"strings"

	"github.com/hearthhost/hearth/object"
)

// Listener is one listener of the policy.
type Listener struct {
	Name     string
	Address  string // as in the file, a Unix path made absolute
	Identify []string
}

// Policy is one immutable generation. Safe for concurrent use.
type Policy struct {
	Scripts, State string // folders, absolute
	Listeners      []Listener

	tenants map[object.Tenant]bool // nil: every folder
	byUID   map[uint32]object.Principal
	rules   map[object.Principal][]rule
	// ownTenant lets every object call the objects of its own tenant.
	ownTenant bool
}

// rule is one permit as it concerns one principal.
type rule struct {
	reason     string // `policy.hcl:14: permit "…"`
	objects    []pattern
	methods    map[object.Method]bool // nil: all
	tracebacks bool
}

// pattern matches object ids; '*' stands for any run of characters.
type pattern string

func (p pattern) matches(id string) bool {
	g := string(p)
	star, mark := -1, 0
	i, j := 0, 0
	for i < len(id) {
		switch {
		case j < len(g) && g[j] == '*':
			star, mark = j, i
			j++
		case j < len(g) && g[j] == id[i]:
			i++
			j++
		case star >= 0:
			mark++
			i, j = mark, star+1
		default:
			return false
		}
	}
	for j < len(g) && g[j] == '*' {
		j++
	}
	return j == len(g)
}

// Default is the policy of a host without a file: loopback and a Unix socket, the folders
// scripts and state in dir, every tenant, and nobody but the OS user hostUID, who may
// call everything. Objects may call those of their own tenant.
func Default(dir string, hostUID int) (*Policy, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	state := filepath.Join(dir, "state")
	peer := []string{"peer"}
	const owner object.Principal = "owner"
	return &Policy{
		Scripts: filepath.Join(dir, "scripts"), State: state,
		Listeners: []Listener{
			{Name: "local", Address: "127.0.0.1:7766", Identify: peer},
			{Name: "socket", Address: "unix:" + filepath.Join(state, "hearth.sock"), Identify: peer},
		},
		byUID: map[uint32]object.Principal{uint32(hostUID): owner},
		rules: map[object.Principal][]rule{owner: {{reason: "built-in policy: the owner may call everything",
			objects: []pattern{"*"}, tracebacks: true}}},
		ownTenant: true,
	}, nil
}

// Principal returns who a peer is: Anonymous unless the kernel proved a declared uid.
func (p *Policy) Principal(peer object.Peer) object.Principal {
	if peer.Way == "peer" {
		if name, ok := p.byUID[peer.UID]; ok {
			return name
		}
	}
	return object.Anonymous
}

// Decision is the answer to whether a call may be made, and why.
type Decision struct {
	Permit    bool
	Reason    string
	Traceback bool // the caller may see tracebacks
}

// Decide says whether caller may call method m of object id. It allocates nothing.
func (p *Policy) Decide(caller object.Caller, id object.ID, m object.Method) Decision {
	if !m.Callable() {
		return Decision{Reason: "the name is private or malformed and never callable"}
	}
	var d Decision
	rules := p.rules[caller.Principal]
	for i := range rules {
		r := &rules[i]
		if (r.methods != nil && !r.methods[m]) || !r.covers(id) {
			continue
		}
		if !d.Permit {
			d.Permit, d.Reason = true, r.reason
		}
		d.Traceback = d.Traceback || r.tracebacks
	}
	if d.Permit {
		return d
	}
	if p.ownTenant && caller.Tenant != "" && caller.Tenant == id.Tenant() {
		return Decision{Permit: true, Reason: "built-in policy: objects call their own tenant's"}
	}
	return Decision{Reason: "no permit covers this principal, object and method"}
}

func (r *rule) covers(id object.ID) bool {
	for _, o := range r.objects {
		if o.matches(string(id)) {
			return true
		}
	}
	return false
}

// Visible reports whether the caller may call any method of the object.
func (p *Policy) Visible(caller object.Caller, id object.ID) bool {
	rules := p.rules[caller.Principal]
	for i := range rules {
		if rules[i].covers(id) {
			return true
		}
	}
	return p.ownTenant && caller.Tenant != "" && caller.Tenant == id.Tenant()
}

// Known reports whether any rule names the principal.
func (p *Policy) Known(name object.Principal) bool { return len(p.rules[name]) > 0 }

// Serves reports whether the policy declares the tenant.
func (p *Policy) Serves(t object.Tenant) bool { return p.tenants == nil || p.tenants[t] }

// absolute makes a path of the file relative to the file's folder.
func absolute(base, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(base, path)
}

func absoluteAddress(base, addr string) string {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return "unix:" + absolute(base, path)
	}
	return addr
}
