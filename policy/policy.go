package policy

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy/condition"
	"github.com/hearthhost/hearth/policy/problem"
	"github.com/hearthhost/hearth/service/egress/rule"
)

// Definition is the content of a policy: the settings of the host, its principals, tenants and rules. A reader
// fills it in and calls [New].
type Definition struct {
	Scripts   string       // scripts folder; absolute
	Plugins   string       // plugins folder; absolute
	State     string       // folder of the host's own files; absolute
	Listeners []Listener   // in the order of the file
	Warnings  problem.List // valid content that is probably a mistake, by line

	Tenants    []object.Tenant                   // declared tenants, sorted; nil if AllTenants is set
	AllTenants bool                              // every well-formed name is a tenant
	Settings   map[object.Tenant]*TenantSettings // of the declared tenants

	Declared []object.Principal                 // declared principals, sorted
	Users    map[uint32]object.Principal        // principals by the user id that proves them
	Certs    []CertRule                         // certificates that prove principals
	Tokens   []TokenRule                        // tokens of issuers that prove principals
	Owners   map[object.Principal]object.Tenant // owner tenants of principals that have one
	Groups   map[object.Principal][]string      // groups of each principal, sorted
	Subjects map[object.Principal][]*Subject    // rules of each principal
	Siblings *Rule                              // nil: objects of one tenant need permits to call each other
	Zone     *time.Location                     // time zone of conditions; never nil

	// Key files for "hmac", "bearer" and "pyro4-hmac", in the order of the file.
	Keys, BearerKeys, LegacyKeys []KeyFile

	Secrets []Secret      // secrets of all tenants, in the order of the file
	Egress  []*rule.Block // egress blocks of all tenants, in the order of the file
	Pins    []Plugin      // plugins that may start, in the order of the file

	Webhooks []Webhook // in the order of the file

	Enroll *Enroll // nil: enrolment is disabled
	Audit  Audit
	Admin  Admin
	Trace  Trace

	Tests []TestResult // results of the file's test blocks, in the order of the file

	// Sum is the SHA-256 of the file that Load read; zero for any other policy.
	Sum [32]byte
	// Set has the position of each of scripts, state, enroll, admin and trace that the file sets, as
	// "policy.hcl:12".
	Set map[string]string
	// MaxArgumentBytes is the largest arguments limit of a tenant or object; 0: none is set.
	MaxArgumentBytes int
}

// Policy is a [Definition] with a cache of decisions. It is immutable: do not change the definition after New.
// Its methods may be called concurrently.
type Policy struct {
	Definition
	cache *cache
	env   condition.Environment // environment of conditions
}

// New returns the policy of a definition.
func New(d Definition) *Policy {
	env := condition.Environment{Groups: d.Groups, Owners: d.Owners, Zone: d.Zone}
	return &Policy{Definition: d, cache: newCache(), env: env}
}

// Defaults of folders and addresses. Folders are relative to the folder of the policy.
const (
	DefaultScripts = "scripts"
	DefaultPlugins = "plugins"
	DefaultState   = "state"
	defaultAddress = "127.0.0.1:7766"
	defaultSocket  = "hearth.sock" // in the state folder
)

// Default returns the policy of a host without a policy file.
//
// The host listens on 127.0.0.1:7766 and on the Unix socket <dir>/state/hearth.sock, and serves every tenant folder in
// <dir>/scripts. The OS user hostUID is the principal "owner", which may call everything and see tracebacks. Objects
// may call objects of the same tenant. All other calls are denied. The error is one of making dir absolute, or of
// hostUID.
func Default(dir string, hostUID int) (*Policy, error) {
	const owner object.Principal = "owner"
	uid, err := CheckUID(hostUID)
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("built-in policy: find folder: %w", err)
	}
	state := filepath.Join(dir, DefaultState)
	all := &Rule{
		Reason:     `built-in policy: permit "owner"`,
		Tracebacks: true,
		Objects:    []Pattern{{Tenant: "*", Name: "*"}},
	}
	socket := "unix:" + filepath.Join(state, defaultSocket)
	return New(Definition{
		Scripts: filepath.Join(dir, DefaultScripts),
		Plugins: filepath.Join(dir, DefaultPlugins),
		State:   state,
		Listeners: []Listener{
			{Name: "local", Address: defaultAddress, Identify: []string{object.AuthPeer}, Plain: true},
			{Name: "socket", Address: socket, Identify: []string{object.AuthPeer}, Plain: true},
		},
		AllTenants: true,
		Audit:      DefaultAudit(state),
		Users:      map[uint32]object.Principal{uid: owner},
		Subjects:   map[object.Principal][]*Subject{owner: {{Permits: Index[*Rule]{AnyTenant: {all}}}}},
		Zone:       time.UTC,
		Siblings:   &Rule{Reason: `built-in policy: permit "objects of the same tenant"`},
	}), nil
}

// CheckUID converts a user id. It returns an error for -1, which os.Getuid returns on systems without user ids.
func CheckUID(uid int) (uint32, error) {
	if uid < 0 || int64(uid) >= 1<<32-1 {
		return 0, fmt.Errorf("%d is not the id of an OS user", uid)
	}
	return uint32(uid), nil
}

// Principal returns the principal of a peer: the one that declares its kernel-verified user id, the one that its
// verified certificate or token matches, or that of its webhook. It returns object.Anonymous for other peers, and for a
// certificate or a token that matches two principals. Peers with a key are identified by the key files, see Keys. An
// identified principal still needs permits.
func (p *Policy) Principal(peer object.Peer) object.Principal {
	switch {
	case peer.Auth == object.AuthPeer:
		if name, ok := p.Users[peer.UID]; ok {
			return name
		}
	case peer.Auth == object.AuthCert && peer.Cert != nil:
		return only(p.Certs, func(r *CertRule) (object.Principal, bool) { return r.Principal, r.Match(peer.Cert) })
	case peer.Auth == object.AuthWebhook && p.Webhook(peer.Key) != nil:
		return object.Webhook(peer.Key)
	case peer.Auth == object.AuthOIDC && peer.Claims != nil:
		return only(p.Tokens, func(r *TokenRule) (object.Principal, bool) { return r.Principal, r.Match(peer.Claims) })
	}
	return object.Anonymous
}

// only returns the principal of the rules that match, object.Anonymous if no rule matches or two principals do.
func only[R any](rules []R, match func(*R) (object.Principal, bool)) object.Principal {
	who := object.Anonymous
	for i := range rules {
		found, ok := match(&rules[i])
		if !ok || found == who {
			continue
		}
		if who != object.Anonymous { // a second principal
			return object.Anonymous
		}
		who = found
	}
	return who
}

// Known reports whether at least one permit names the principal.
func (p *Policy) Known(principal object.Principal) bool {
	if p.HasPermit(principal) {
		return true
	}
	id, ok := principal.Object()
	return ok && p.Siblings != nil && validID(id) && p.Serves(id.Tenant())
}

// HasPermit reports whether a permit of the file names the principal.
func (p *Policy) HasPermit(principal object.Principal) bool {
	return slices.ContainsFunc(p.Subjects[principal], func(s *Subject) bool { return len(s.Permits) > 0 })
}

// Serves reports whether the tenant's folder is served.
func (d *Definition) Serves(tenant object.Tenant) bool {
	if d.AllTenants {
		return object.ValidName(string(tenant)) && tenant != object.HostTenant
	}
	_, ok := d.Settings[tenant]
	return ok
}

// OwnerTenant returns the tenant that owns a principal, or "".
func (d *Definition) OwnerTenant(who object.Principal) object.Tenant {
	owner := d.Owners[who]
	if id, ok := who.Object(); ok {
		owner = id.Tenant()
	}
	if !d.Serves(owner) {
		return ""
	}
	return owner
}

// ValidPrincipal reports whether a principal can exist under the policy: declared, anonymous, or the principal of an
// object. Webhooks are declared by their blocks.
func (p *Policy) ValidPrincipal(who object.Principal) bool {
	_, isObject := who.Object()
	_, declared := slices.BinarySearch(p.Declared, who)
	return declared || isObject || who == object.Anonymous || p.HasPermit(who)
}

// PermittedPrincipals returns every principal that a permit names, sorted. All others are denied, except objects that
// call objects of their tenant under the built-in policy.
func (p *Policy) PermittedPrincipals() []object.Principal {
	all := slices.Sorted(maps.Keys(p.Subjects))
	return slices.DeleteFunc(all, func(who object.Principal) bool { return !p.HasPermit(who) })
}
