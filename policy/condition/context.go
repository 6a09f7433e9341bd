package condition

import (
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/hearthhost/hearth/object"
)

// Environment is the part of a policy that conditions read.
type Environment struct {
	Groups map[object.Principal][]string      // groups of each principal, sorted
	Owners map[object.Principal]object.Tenant // owner tenants of principals that have one
	Zone   *time.Location                     // zone of time.of_day and time.weekday; never nil
}

// Context holds the attributes of one call. It is not safe for concurrent use.
type Context struct {
	Method object.Method // "": not known

	env    *Environment
	caller object.Caller
	id     object.ID
	at     time.Time // the zero time: not known
	timed  bool      // at is set
}

var contextPool = sync.Pool{New: func() any { return new(Context) }}

// NewContext returns the context of a call from a pool. Return it with Release. at is nil for the current time, which
// is read once, on first use.
func (env *Environment) NewContext(caller *object.Caller, id object.ID, m object.Method, at *time.Time) *Context {
	f := contextPool.Get().(*Context)
	*f = Context{env: env, caller: *caller, id: id, Method: m}
	if at != nil {
		f.at, f.timed = *at, true
	}
	return f
}

// Release returns the context to the pool. Do not use it afterwards.
func (f *Context) Release() {
	*f = Context{}
	contextPool.Put(f)
}

// unknownError names an attribute that is not known for a call.
type unknownError string

func (u unknownError) Error() string { return string(u) + " is not known for this caller" }

// moment returns the time of the call in the zone of the policy, or an error if it is not known.
func (f *Context) moment() (time.Time, error) {
	if !f.timed {
		f.at, f.timed = time.Now(), true
	}
	if f.at.IsZero() {
		return f.at, unknownError("time")
	}
	return f.at.In(f.env.Zone), nil
}

// ip returns the address of the caller without the port.
func (f *Context) ip() (string, error) {
	if f.caller.Peer.Channel == "object" { // its address is an object id, which can look like an address
		return "", unknownError("caller.address")
	}
	if ap, err := netip.ParseAddrPort(f.caller.Peer.Addr); err == nil {
		i := strings.LastIndexByte(f.caller.Peer.Addr, ':')
		if ap.Addr().Is6() {
			return f.caller.Peer.Addr[1 : i-1], nil
		}
		return f.caller.Peer.Addr[:i], nil
	}
	if _, err := netip.ParseAddr(f.caller.Peer.Addr); err == nil {
		return f.caller.Peer.Addr, nil
	}
	return "", unknownError("caller.address")
}

// tenant returns the tenant of the calling object, or the owner tenant of the principal; "" if there is no owner.
func (f *Context) tenant() object.Tenant {
	if f.caller.Tenant != "" {
		return f.caller.Tenant
	}
	return f.env.Owners[f.caller.Principal]
}

// variable is an attribute of a call that conditions can read: its kind, a function that returns it, and its valid
// values.
type variable struct {
	kind   kind
	text   func(*Context) (string, error)
	number func(*Context) (float64, error)
	list   func(*Context) ([]string, error)
	when   func(*Context) (time.Time, error)
	values []string // valid values; nil: any
}

// stringOf returns the getter of a string that is always known.
func stringOf(get func(*Context) string) func(*Context) (string, error) {
	return func(f *Context) (string, error) { return get(f), nil }
}

// certString is a string of the caller's certificate.
func certString(name string, get func(*object.Certificate) string) variable {
	return variable{kind: textKind, text: func(f *Context) (string, error) {
		if f.caller.Peer.Cert == nil {
			return "", unknownError("caller.cert." + name)
		}
		return get(f.caller.Peer.Cert), nil
	}}
}

// certList is a list of strings of the caller's certificate.
func certList(name string, get func(*object.Certificate) []string) variable {
	return variable{kind: listKind, list: func(f *Context) ([]string, error) {
		if f.caller.Peer.Cert == nil {
			return nil, unknownError("caller.cert." + name)
		}
		return get(f.caller.Peer.Cert), nil
	}}
}

// claimPrefix is the prefix of the variables of claims: caller.claims.sub, or caller.claims["sub"].
const claimPrefix = "caller.claims."

// claimOf is the variable of a claim of the caller's token. It is a string, and a list in contains.
func claimOf(name string) variable {
	get := func(f *Context) (object.Claim, error) {
		if f.caller.Peer.Claims != nil {
			if c, ok := f.caller.Peer.Claims.Values[name]; ok {
				return c, nil
			}
		}
		return object.Claim{}, unknownError(claimPrefix + name)
	}
	return variable{
		kind: textKind,
		text: func(f *Context) (string, error) {
			c, err := get(f)
			if err == nil && c.List != nil {
				err = unknownError("the text of " + claimPrefix + name + ", a list,")
			}
			return c.Text, err
		},
		list: func(f *Context) ([]string, error) {
			c, err := get(f)
			if err != nil {
				return nil, err
			}
			return c.All(), nil
		},
	}
}

// lookupVariable returns the variable of a name.
func lookupVariable(name string) (variable, bool) {
	if claim, ok := strings.CutPrefix(name, claimPrefix); ok && claim != "" {
		return claimOf(claim), true
	}
	v, ok := variables[name]
	return v, ok
}

var weekdays = []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}

// variables are the variables of conditions by name.
var variables = map[string]variable{
	"caller.principal": {kind: textKind, text: stringOf(func(f *Context) string { return string(f.caller.Principal) })},
	"caller.groups": {kind: listKind, list: func(f *Context) ([]string,
		error) {
		return f.env.Groups[f.caller.Principal], nil
	}},
	"caller.tenant": {kind: textKind, text: stringOf(func(f *Context) string { return string(f.tenant()) })},
	"caller.channel": {kind: textKind, values: Channels, text: func(f *Context) (string, error) {
		if f.caller.Peer.Channel == "" {
			return "", unknownError("caller.channel")
		}
		return f.caller.Peer.Channel, nil
	}},
	"caller.auth": {kind: textKind, values: append([]string{"none"}, object.AuthMethods...),
		text: func(f *Context) (string, error) {
			switch {
			case f.caller.Peer.Auth != "":
				return f.caller.Peer.Auth, nil
			case f.caller.Peer.Channel != "":
				return "none", nil
			}
			return "", unknownError("caller.auth")
		}},
	"caller.gateway": {kind: textKind, values: object.Gateways, text: func(f *Context) (string, error) {
		if f.caller.Peer.Gateway == "" {
			return "", unknownError("caller.gateway")
		}
		return f.caller.Peer.Gateway, nil
	}},
	"caller.address": {kind: textKind, text: (*Context).ip},
	"caller.uid": {kind: numberKind, number: func(f *Context) (float64, error) {
		if f.caller.Peer.Auth != object.AuthPeer {
			return 0, unknownError("caller.uid")
		}
		return float64(f.caller.Peer.UID), nil
	}},
	"caller.cert.common_name": certString("common_name", func(c *object.Certificate) string { return c.CommonName }),
	"caller.cert.serial":      certString("serial", func(c *object.Certificate) string { return c.Serial }),
	"caller.cert.sha256":      certString("sha256", func(c *object.Certificate) string { return c.SHA256 }),
	"caller.cert.dns":         certList("dns", func(c *object.Certificate) []string { return c.DNS }),
	"caller.cert.uri":         certList("uri", func(c *object.Certificate) []string { return c.URIs }),
	"object.id":               {kind: textKind, text: stringOf(func(f *Context) string { return string(f.id) })},
	"object.tenant": {kind: textKind,
		text: stringOf(func(f *Context) string { return string(f.id.Tenant()) })},
	"object.name": {kind: textKind, text: stringOf(func(f *Context) string { return f.id.Family().Name() })},
	"object.key":  {kind: textKind, text: stringOf(func(f *Context) string { return f.id.Key() })},
	"method": {kind: textKind, text: func(f *Context) (string, error) {
		if f.Method == "" {
			return "", unknownError("method")
		}
		return string(f.Method), nil
	}},
	"time.now": {kind: momentKind, when: (*Context).moment},
	"time.of_day": {kind: clockKind, number: func(f *Context) (float64, error) {
		t, err := f.moment()
		return float64(t.Hour()*3600 + t.Minute()*60 + t.Second()), err
	}},
	"time.weekday": {kind: textKind, values: weekdays, text: func(f *Context) (string, error) {
		t, err := f.moment()
		return weekdays[t.Weekday()], err
	}},
}

// Channels are the values of object.Peer.Channel.
var Channels = []string{"unix", "tcp", "tls", "hmac", "object"}

// renamedVariables maps former variables of conditions to current ones.
var renamedVariables = map[string]string{"caller.way": "caller.auth"}
