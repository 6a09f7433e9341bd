package policy

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/hearthhost/hearth/object"
)

// Policy is one immutable reading of a policy file, or the built-in policy. Its methods
// may be called concurrently. Do not change what its fields hold.
type Policy struct {
	Scripts   string     // the scripts folder; absolute
	State     string     // the folder of the host's own files; absolute
	Listeners []Listener // in the order of the file
	// Tenants are the declared tenants, sorted. If AllTenants is set, it is nil, and
	// every well-formed name is a tenant.
	Tenants    []object.Tenant
	AllTenants bool

	tenants  map[object.Tenant]struct{}
	byUID    map[uint32]object.Principal
	rules    map[object.Principal][]*rule // sorted by the permits' names
	siblings *rule                        // if not nil: objects may call objects of their own tenant
}

// Listener is one listener block.
type Listener struct {
	Name     string
	Address  string   // "127.0.0.1:7766", "[::1]:7766" or "unix:path", the path absolute
	Identify []string // never empty
}

// Where things are when nothing says otherwise.
const (
	defaultScripts = "scripts"
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
		State:   state,
		Listeners: []Listener{
			{Name: "local", Address: defaultAddress, Identify: []string{wayPeer}},
			{Name: "socket", Address: "unix:" + filepath.Join(state, defaultSocket), Identify: []string{wayPeer}},
		},
		AllTenants: true,
		byUID:      map[uint32]object.Principal{uid: owner},
		rules:      map[object.Principal][]*rule{owner: {all}},
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
// kernel has proven that id, else object.Anonymous. Being known is not being permitted.
func (p *Policy) Principal(peer object.Peer) object.Principal {
	if peer.Way != wayPeer {
		return object.Anonymous
	}
	if name, ok := p.byUID[peer.UID]; ok {
		return name
	}
	return object.Anonymous
}

// Known reports whether at least one permit names the principal.
func (p *Policy) Known(principal object.Principal) bool {
	if len(p.rules[principal]) > 0 {
		return true
	}
	id, ok := callingObject(principal)
	return ok && p.siblings != nil && wellFormed(id) && p.Serves(id.Tenant())
}

// Serves reports whether a tenant's folder is to be served.
func (p *Policy) Serves(tenant object.Tenant) bool {
	if p.AllTenants {
		return object.ValidName(string(tenant)) && tenant != hostTenant
	}
	_, ok := p.tenants[tenant]
	return ok
}

// wayPeer is the one way of identification that exists.
const wayPeer = "peer"

// hostTenant is the first part of the host's own ids.
const hostTenant object.Tenant = "Pyro"

// objectPrefix begins the principals of calling objects.
const objectPrefix = "object:"

// callingObject returns the object that a principal stands for, if it is one's.
func callingObject(p object.Principal) (object.ID, bool) {
	id, ok := strings.CutPrefix(string(p), objectPrefix)
	return object.ID(id), ok
}
