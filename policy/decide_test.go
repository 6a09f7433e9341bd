package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/policytest"
)

// Shared helpers under short names.
const (
	hostUID = policytest.HostUID
	head    = policytest.Head
)

var (
	accounts  = policytest.Accounts
	mustParse = policytest.Parse
	caller    = policytest.Caller
)

const rules = head + `
permit "staff may read" {
  principals = ["alice", "bob"]
  objects    = ["acme.counter", "*.status"]
  methods    = ["total"]
}
permit "alice may all of shop" {
  principals = ["alice"]
  objects    = ["acme.shop.*"]
  tracebacks = true
}
permit "the relay" {
  principals = ["object:acme.relay"]
  objects    = ["acme.counter"]
  methods    = ["add"]
}
permit "anybody" {
  principals = ["anonymous"]
  objects    = ["acme.public-*"]
}
permit "bob, again" {
  principals = ["bob"]
  objects    = ["acme.c*r"]
  methods    = ["total"]
  tracebacks = true
}
`

func TestDecide(t *testing.T) {
	p := mustParse(t, rules)
	tests := []struct {
		who, id, method string
		permit, trace   bool
		reason          string
	}{
		{"alice", "acme.counter", "total", true, false, `policy.hcl:9 permit "staff may read"`},
		{"alice", "acme.counter", "add", false, false, ""},
		{"alice", "acme.status", "total", true, false, ""},
		{"alice", "other.status", "total", true, false, ""},
		{"alice", "other.counter", "total", false, false, ""},
		{"alice", "other.deep.status", "total", false, false, ""}, // "*" is one tenant, not a run
		{"alice", "undeclared.status", "total", false, false, "tenant is not served"},
		{"alice", "acme.shop.cart", "anything", true, true, "alice may all of shop"},
		{"alice", "acme.shop.a.b", "anything", true, true, ""},
		{"alice", "acme.shop", "anything", false, false, ""},
		{"alice", "acme.shopping.cart", "anything", false, false, ""},
		{"alice", "acme.shop.cart", "_private", false, false, "can be called"},
		{"alice", "acme.shop.cart", "__init__", false, false, ""},
		{"alice", "acme.shop.cart", "a.b", false, false, ""},
		{"alice", "acme.shop.cart", "", false, false, ""},
		{"alice", "acme.shop.cart", "аdd", false, false, ""}, // a Cyrillic а
		{"alice", "acme.shop.cart", "add ", false, false, ""},
		{"alice", "acme.shop.", "x", false, false, "id is malformed"},
		{"alice", "acme.shop..x", "x", false, false, ""},
		{"alice", "acme.shop.a b", "x", false, false, ""},
		{"alice", "acme.shop.\x00", "x", false, false, ""},
		{"alice", "acme.shop.*", "x", false, false, ""},
		{"alice", "acme.shop." + strings.Repeat("x", 300), "x", false, false, ""},
		{"alice", "ACME.counter", "total", false, false, ""},
		{"alice", "", "x", false, false, ""},
		{"alice", "acme", "x", false, false, ""},
		{"alice", "Pyro.Daemon", "ping", false, false, ""},
		{"alice", "Pyro.status", "total", false, false, ""},
		{"bob", "acme.counter", "total", true, true, "bob, again"}, // the rule with tracebacks names itself
		{"bob", "acme.cr", "total", true, true, ""},
		{"bob", "acme.c", "total", false, false, ""},
		{"bob", "acme.shop.cart", "x", false, false, "no permit of this principal"},
		{"owner", "acme.counter", "total", false, false, "no permit names"},
		{"object:acme.relay", "acme.counter", "add", true, false, ""},
		{"object:acme.relay", "acme.counter", "total", false, false, ""},
		{"object:acme.relay2", "acme.counter", "add", false, false, ""},
		{"object:other.relay", "acme.counter", "add", false, false, ""},
		{"anonymous", "acme.public-a", "x", true, false, ""},
		{"anonymous", "acme.counter", "total", false, false, ""},
		{"alice", "acme.public-a", "x", false, false, ""}, // anonymous does not include other principals
		{"", "acme.public-a", "x", false, false, ""},
		{"nobody", "acme.counter", "total", false, false, ""},
		{"Alice", "acme.counter", "total", false, false, ""},
	}
	for _, tt := range tests {
		d := p.Decide(caller(object.Principal(tt.who)), object.ID(tt.id), object.Method(tt.method))
		if d.Permit != tt.permit || d.Traceback != tt.trace || !strings.Contains(d.Reason, tt.reason) ||
			d.Reason == "" {
			t.Errorf("Decide(%s, %s.%s) = %+v, want permit %v, traceback %v, reason with %q", tt.who, tt.id,
				tt.method, d, tt.permit, tt.trace, tt.reason)
		}
	}
}

// TestSetting checks that a permit to read an attribute does not permit to set it, and that a forbid covers both.
func TestSetting(t *testing.T) {
	p := mustParse(t, rules+`
permit "sets" {
  principals = ["bob"]
  objects    = ["acme.counter"]
  methods    = ["limit=", "level", "level="]
}
forbid "no level" {
  principals = ["bob"]
  objects    = ["acme.*"]
  methods    = ["level"]
}
permit "alice sets" {
  principals = ["alice"]
  objects    = ["other.thing"]
}
forbid "but one" {
  principals = ["alice"]
  objects    = ["other.thing"]
  methods    = ["fixed="]
}
`)
	for _, tt := range []struct {
		who, id, attribute string
		get, set           bool
	}{
		{"alice", "acme.counter", "total", true, false},
		{"alice", "acme.shop.cart", "total", true, true}, // every one
		{"bob", "acme.counter", "limit", false, true},
		{"bob", "acme.counter", "level", false, false},
		{"alice", "other.thing", "free", true, true},
		{"alice", "other.thing", "fixed", true, false},
		{"alice", "other.thing", "fixed=", false, false},
		{"alice", "acme.shop.cart", "_x", false, false},
		{"alice", "acme.shop.cart", "", false, false},
		{"alice", "acme.shop.cart", "=", false, false},
		{"bob", "acme.counter", "limit=", false, false},
	} {
		for range 2 { // the second time it is remembered
			who := caller(object.Principal(tt.who))
			get, set := p.Decide(who, object.ID(tt.id), object.Method(tt.attribute)), p.DecideSet(who,
				object.ID(tt.id), object.Method(tt.attribute))
			if get.Permit != tt.get || set.Permit != tt.set {
				t.Errorf("%s and %s.%s: %+v, setting %+v; want %v, %v", tt.who, tt.id, tt.attribute, get, set, tt.get,
					tt.set)
			}
		}
	}
}

func TestVisibleAndKnown(t *testing.T) {
	p := mustParse(t, rules)
	for who, ids := range map[string]map[string]bool{
		"alice": {"acme.counter": true, "acme.shop.x": true, "other.status": true, "acme.public-a": false,
			"none.status": false, "acme.": false},
		"object:acme.relay": {"acme.counter": true, "acme.relay": false, "other.counter": false},
		"anonymous":         {"acme.public-a": true, "acme.counter": false, "Pyro.Daemon": false},
		"owner":             {"acme.counter": false},
		"nobody":            {"acme.counter": false},
	} {
		for id, want := range ids {
			if got := p.Visible(caller(object.Principal(who)), object.ID(id)); got != want {
				t.Errorf("Visible(%s, %s) = %v", who, id, got)
			}
		}
	}
	for who, want := range map[string]bool{"alice": true, "bob": true, "owner": false, "anonymous": true,
		"nobody": false, "": false,
		"object:acme.relay": true, "object:acme.counter": false} {
		if got := p.Known(object.Principal(who)); got != want {
			t.Errorf("Known(%s) = %v", who, got)
		}
	}
}

// TestDebugs checks that tracebacks are visible if a permit that allows them permits at least one call.
func TestDebugs(t *testing.T) {
	p := mustParse(t, rules+`
permit "bob reads one with tracebacks" {
  principals = ["bob"]
  objects    = ["acme.debugged"]
  methods    = ["total"]
  tracebacks = true
}
permit "bob reads another" {
  principals = ["bob"]
  objects    = ["acme.debugged.not"]
}
permit "bob reads a third with tracebacks" {
  principals = ["bob"]
  objects    = ["acme.third"]
  methods    = ["total"]
  tracebacks = true
}
forbid "not the third" {
  principals = ["bob"]
  objects    = ["acme.third"]
  methods    = ["total"]
}`)
	for who, ids := range map[string]map[string]bool{
		"alice": {"acme.shop.x": true, "acme.counter": false, "acme.none": false, "none.status": false},
		"bob":   {"acme.shop.x": false, "acme.debugged": true, "acme.debugged.not": false, "acme.third": false},
	} {
		for id, want := range ids {
			if got := p.VisibleWithTracebacks(caller(object.Principal(who)), object.ID(id)); got != want {
				t.Errorf("Debugs(%s, %s) = %v", who, id, got)
			}
		}
	}
}

func TestPrincipal(t *testing.T) {
	p := mustParse(t, head+`principal "root" { user = "root" }`)
	for _, tt := range []struct {
		peer object.Peer
		want object.Principal
	}{
		{object.Peer{Auth: "peer", UID: 1000}, "alice"},
		{object.Peer{Auth: "peer", UID: 1001}, "bob"},
		{object.Peer{Auth: "peer", UID: hostUID}, "owner"},
		{object.Peer{Auth: "peer", UID: 0}, "root"},
		{object.Peer{Auth: "peer", UID: 7}, object.Anonymous},
		{object.Peer{}, object.Anonymous}, // and not root, whose uid it seems to have
		{object.Peer{UID: 1000}, object.Anonymous},
		{object.Peer{Auth: "PEER", UID: 1000}, object.Anonymous},
		{object.Peer{Auth: "hmac", UID: 1000}, object.Anonymous},
		{object.Peer{Channel: "object", Addr: "acme.relay"}, object.Anonymous},
	} {
		if got := p.Principal(tt.peer); got != tt.want {
			t.Errorf("Principal(%+v) = %s, want %s", tt.peer, got, tt.want)
		}
	}
}

func TestServes(t *testing.T) {
	p := mustParse(t, head)
	for tenant, want := range map[object.Tenant]bool{"acme": true, "other": true, "third": false, "": false,
		"Pyro": false, "*": false} {
		if got := p.Serves(tenant); got != want {
			t.Errorf("Serves(%q) = %v", tenant, got)
		}
	}
}

func TestDefault(t *testing.T) {
	p, err := policy.Default("/dir", hostUID)
	if err != nil {
		t.Fatal(err)
	}
	if p.Scripts != "/dir/scripts" || p.State != "/dir/state" || !p.AllTenants || p.Tenants != nil {
		t.Errorf("Default = %+v", p)
	}
	var addrs []string
	for _, l := range p.Listeners {
		addrs = append(addrs, l.Address+" "+strings.Join(l.Identify, ","))
	}
	if got := strings.Join(addrs, "; "); got != "127.0.0.1:7766 peer; unix:/dir/state/hearth.sock peer" {
		t.Errorf("listeners: %s", got)
	}
	owner := p.Principal(object.Peer{Auth: "peer", UID: hostUID})
	if owner != "owner" || p.Principal(object.Peer{Auth: "peer", UID: hostUID + 1}) != object.Anonymous ||
		p.Principal(object.Peer{}) != object.Anonymous {
		t.Errorf("the host's user is %s", owner)
	}
	for _, tt := range []struct {
		who    object.Caller
		id     object.ID
		m      object.Method
		permit bool
	}{
		{caller("owner"), "any.thing", "x", true},
		{caller("owner"), "any.thing.deep", "x", true},
		{caller("owner"), "any.thing", "_x", false},
		{caller("owner"), "Pyro.Daemon", "ping", false},
		{caller("owner"), "any", "x", false},
		{caller("anonymous"), "any.thing", "x", false},
		{caller("object:acme.a"), "acme.b", "x", true},
		{caller("object:acme.a"), "acme.b", "_x", false},
		{caller("object:acme.a"), "other.b", "x", false},
		{caller("object:acme.a"), "Pyro.Daemon", "x", false},
		{caller("object:Pyro.a"), "Pyro.b", "x", false},
		{caller("object:acme"), "acme.b", "x", false},
		{object.Caller{Principal: "object:acme.a"}, "acme.b", "x", false},                   // no tenant
		{object.Caller{Principal: "object:acme.a", Tenant: "other"}, "other.b", "x", false}, // two stories
		{object.Caller{Principal: "anonymous", Tenant: "acme"}, "acme.b", "x", false},
	} {
		d := p.Decide(tt.who, tt.id, tt.m)
		if d.Permit != tt.permit || d.Traceback != (tt.permit && tt.who.Principal == "owner") {
			t.Errorf("Decide(%+v, %s.%s) = %+v, want %v", tt.who, tt.id, tt.m, d, tt.permit)
		}
		if tt.m == "x" && p.Visible(tt.who, tt.id) != tt.permit {
			t.Errorf("Visible(%+v, %s) = %v", tt.who, tt.id, !tt.permit)
		}
	}
	for who, want := range map[object.Principal]bool{"owner": true, "anonymous": false, "object:acme.a": true,
		"object:Pyro.a": false, "object:": false} {
		if p.Known(who) != want {
			t.Errorf("Known(%s) = %v", who, !want)
		}
	}
	for tenant, want := range map[object.Tenant]bool{"acme": true, "Pyro": false, "": false, "a.b": false,
		"..": false} {
		if p.Serves(tenant) != want {
			t.Errorf("Serves(%q) = %v", tenant, !want)
		}
	}
}

// questions are queries whose decisions must not allocate.
var questions = []struct {
	who object.Caller
	id  object.ID
	m   object.Method
}{
	{caller("alice"), "acme.counter", "total"},
	{caller("alice"), "acme.shop.cart", "add"},
	{caller("alice"), "acme.nosuch", "add"},
	{caller("bob"), "acme.counter", "total"},
	{caller("anonymous"), "acme.counter", "total"},
	{caller("object:acme.relay"), "acme.counter", "add"},
	{caller("nobody"), "bad id", "_x"},
}

func TestDecideDoesNotAllocate(t *testing.T) {
	builtIn, err := policy.Default("/dir", 1000)
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]*policy.Policy{"file": mustParse(t, rules), "default": builtIn} {
		for _, q := range questions {
			if n := testing.AllocsPerRun(100, func() { p.Decide(q.who, q.id, q.m); p.Known(q.who.Principal) }); n != 0 {
				t.Errorf("%s: deciding on %s, %s.%s allocates %v times", name, q.who.Principal, q.id, q.m, n)
			}
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	p := mustParse(b, rules)
	for _, q := range questions {
		b.Run(fmt.Sprintf("%s/%s.%s", q.who.Principal, q.id, q.m), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Decide(q.who, q.id, q.m)
			}
		})
	}
}
