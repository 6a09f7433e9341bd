package policy

import (
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/hearthhost/hearth/object"
)

// Policy is one immutable reading of a policy file, or the built-in policy. Its methods
// may be called concurrently. Do not change what its fields hold.
type Policy struct {
	Scripts   string     // the scripts folder; absolute
	Plugins   string     // the folder of plugins; absolute
	State     string     // the folder of the host's own files; absolute
	Listeners []Listener // in the order of the file
	// Warnings are what the file says that is valid and probably not meant, by line.
	Warnings Problems

	// Tenants are the declared tenants, sorted. If AllTenants is set, it is nil, and
	// every well-formed name is a tenant.
	Tenants    []object.Tenant
	AllTenants bool

	// Keys are the key files of principals, for "hmac"; LegacyKeys those for
	// "pyro4-hmac". Both are in the order of the file.
	Keys, LegacyKeys []KeyFile

	Secrets []Secret // of all tenants, in the order of the file

	Pins []Plugin // the plugins that may start, in the order of the file

	Enroll *Enroll // nil: nobody can be enrolled

	Audit Audit

	Admin Admin

	Trace Trace

	Tests []TestResult // of the file's test blocks, in their order

	// Sum is the SHA-256 of the file that Load read; zero for any other policy.
	Sum [32]byte

	// Set says where the file sets scripts, state, enroll, admin and trace, as "policy.hcl:12";
	// what it does not set is missing.
	Set map[string]string

	message  int                // the most bytes of a call's message that any block says, 0: none does
	declared []object.Principal // by principal blocks, sorted
	certs    []certRule
	tenants  map[object.Tenant]*TenantSettings
	byUID    map[uint32]object.Principal
	homes    map[object.Principal]object.Tenant // of principals that say to whom they belong
	groupsOf map[object.Principal][]string      // sorted
	subjects map[object.Principal][]*subject
	siblings *rule          // if not nil: objects may call objects of their own tenant
	zone     *time.Location // of conditions about the time
	cache    *cache         // the only thing here that changes
}

// Where things are when nothing says otherwise.
const (
	defaultScripts = "scripts"
	defaultPlugins = "plugins"
	defaultState   = "state"
	defaultAddress = "127.0.0.1:7766"
	defaultSocket  = "hearth.sock" // in the state folder
)

// Default returns the policy of a host that has no policy file: it listens on
// 127.0.0.1:7766 and on the Unix socket <dir>/state/hearth.sock, serves every tenant
// folder in <dir>/scripts, lets the OS user hostUID, as principal "owner", call
// everything and see tracebacks, and lets objects call objects of their own tenant.
// Nobody else may anything. The error is one of making dir absolute.
func Default(dir string, hostUID int) (*Policy, error) {
	const owner object.Principal = "owner"
	uid, err := checkUID(hostUID)
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("finding the folder of the built-in policy: %w", err)
	}
	state := filepath.Join(dir, defaultState)
	all := &rule{reason: `built-in policy: permit "owner"`, traceback: true, objects: []pattern{{tenant: "*", name: "*"}}}
	return &Policy{
		Scripts: filepath.Join(dir, defaultScripts),
		Plugins: filepath.Join(dir, defaultPlugins),
		State:   state,
		Listeners: []Listener{
			{Name: "local", Address: defaultAddress, Identify: []string{object.AuthPeer}, Plain: true},
			{Name: "socket", Address: "unix:" + filepath.Join(state, defaultSocket), Identify: []string{object.AuthPeer}, Plain: true},
		},
		AllTenants: true,
		Audit:      DefaultAudit(state),
		byUID:      map[uint32]object.Principal{uid: owner},
		subjects:   map[object.Principal][]*subject{owner: {{permits: index[*rule]{anyTenant: {all}}}}},
		zone:       time.UTC,
		cache:      newCache(),
		siblings:   &rule{reason: `built-in policy: permit "objects of the same tenant"`},
	}, nil
}

// checkUID returns an OS user id as the kernel tells it. os.Getuid returns -1 on systems
// that have none.
func checkUID(uid int) (uint32, error) {
	if uid < 0 || int64(uid) >= 1<<32-1 {
		return 0, fmt.Errorf("%d is not the id of an OS user", uid)
	}
	return uint32(uid), nil
}

// Principal returns who a peer is: the principal that declares its user id, if the
// kernel has proven that id, or the one that its verified certificate matches; else, and
// if two principals match, object.Anonymous. Whose key proves what, the files say that
// Keys names. Being known is not being permitted.
func (p *Policy) Principal(peer object.Peer) object.Principal {
	switch {
	case peer.Auth == object.AuthPeer:
		if name, ok := p.byUID[peer.UID]; ok {
			return name
		}
	case peer.Auth == object.AuthCert && peer.Cert != nil:
		who := object.Anonymous
		for i := range p.certs {
			r := &p.certs[i]
			if !r.match(peer.Cert) || r.principal == who {
				continue
			}
			if who != object.Anonymous {
				return object.Anonymous
			}
			who = r.principal
		}
		return who
	}
	return object.Anonymous
}

// Known reports whether at least one permit names the principal.
func (p *Policy) Known(principal object.Principal) bool {
	if p.permitted(principal) {
		return true
	}
	id, ok := principal.Object()
	return ok && p.siblings != nil && wellFormed(id) && p.Serves(id.Tenant())
}

// permitted reports whether a permit names the principal.
func (p *Policy) permitted(principal object.Principal) bool {
	return slices.ContainsFunc(p.subjects[principal], func(s *subject) bool { return len(s.permits) > 0 })
}

// Serves reports whether a tenant's folder is to be served.
func (p *Policy) Serves(tenant object.Tenant) bool {
	if p.AllTenants {
		return object.ValidName(string(tenant)) && tenant != object.HostTenant
	}
	_, ok := p.tenants[tenant]
	return ok
}
