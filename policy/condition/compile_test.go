package condition_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/policyfile"
)

// conditional returns a policy in which a permit has a condition, or a forbid beside a permit of everything.
func conditional(t *testing.T, kind, when string) *policy.Policy {
	t.Helper()
	text := head + `timezone = "Europe/Berlin"
principal "carol" {
  uid    = 1002
  tenant = "acme"
}
group "staff" { members = ["bob"] }
group "all"   { members = ["staff", "carol"] }
` + fmt.Sprintf("%s \"rule\" {\n principals = [\"all\", \"anonymous\", \"object:acme.relay\"]\n objects = [\"acme.*\"]\n when = %s\n}\n", kind, when)
	if kind == "forbid" {
		text += "permit \"all\" {\n principals = [\"all\", \"anonymous\", \"object:acme.relay\"]\n objects = " +
			"[\"acme.*\"]\n}\n"
	}
	return mustParse(t, text)
}

// TestFacts checks each variable against the attributes of a caller. An unknown attribute denies, in a permit and in a
// forbid.
func TestFacts(t *testing.T) {
	partner := &object.Certificate{CommonName: "partner", Serial: "a0b", SHA256: strings.Repeat("ab", 32),
		DNS: []string{"a.example", "b.example"}, URIs: []string{"spiffe://example/p"}}
	var (
		overTLS = object.Caller{Principal: "bob",
			Peer: object.Peer{Auth: "cert", Channel: "tls", Addr: "192.0.2.7:4711", Cert: partner}}
		overTCP = object.Caller{Principal: "bob",
			Peer: object.Peer{Auth: "peer", Channel: "tcp", Addr: "127.0.0.1:5000", UID: 1001}}
		over6 = object.Caller{Principal: "bob",
			Peer: object.Peer{Auth: "hmac", Channel: "hmac", Addr: "[2001:db8::7]:5000"}}
		local    = object.Caller{Principal: "carol", Peer: object.Peer{Auth: "peer", Channel: "unix", UID: 1002}}
		root     = object.Caller{Principal: "bob", Peer: object.Peer{Auth: "peer", Channel: "unix"}}
		stranger = object.Caller{Principal: object.Anonymous, Peer: object.Peer{Channel: "tcp", Addr: "127.0.0.1:5000"}}
		numbers  = object.Caller{Principal: "object:acme.relay", Tenant: "10",
			Peer: object.Peer{Channel: "object", Addr: "10.0.0.1"}}
		token = object.Caller{Principal: "bob", Peer: object.Peer{Auth: "oidc", Channel: "tls", Gateway: "http",
			Claims: &object.Claims{Values: map[string]object.Claim{"sub": {Text: "repo:acme"}, "actor": {Text: "ann"},
				"https://example/role": {Text: "admin"}, "groups": {List: []string{"staff", "ops"}}}}}}
		calling = object.Caller{Principal: "object:acme.relay", Tenant: "acme",
			Peer: object.Peer{Channel: "object", Addr: "acme.relay", Gateway: "object"}}
		relay = object.Caller{Principal: "object:acme.relay", Tenant: "acme",
			Peer: object.Peer{Channel: "object", Addr: "acme.relay"}}
	)
	const yes, no, unknown = "yes", "no", "unknown"
	for _, tt := range []struct {
		when string
		who  object.Caller
		want string
	}{
		{`caller.principal == "bob"`, overTLS, yes},
		{`caller.principal == "bob"`, local, no},
		{`caller.principal == "anonymous"`, stranger, yes},
		{`caller.principal == "object:acme.relay"`, relay, yes},
		{`contains(caller.groups, "staff")`, overTCP, yes},
		{`contains(caller.groups, "all")`, overTCP, yes}, // a group in a group
		{`contains(caller.groups, "staff")`, local, no},
		{`contains(caller.groups, "staff")`, stranger, no},
		{`caller.tenant == "acme"`, local, yes}, // by its principal block
		{`caller.tenant == "acme"`, relay, yes},
		{`caller.tenant == "acme"`, overTCP, no},
		{`caller.channel == "tls"`, overTLS, yes},
		{`caller.channel == "unix"`, local, yes},
		{`caller.channel == "hmac"`, over6, yes},
		{`caller.channel == "tcp"`, stranger, yes},
		{`caller.channel == "object"`, relay, yes},
		{`caller.channel == "tls"`, overTCP, no},
		{`caller.channel == "tls"`, object.Caller{Principal: "bob"}, unknown},
		{`caller.auth == "cert"`, overTLS, yes},
		{`caller.auth == "peer"`, overTLS, no},
		{`caller.auth == "none"`, stranger, yes},
		{`caller.auth == "none"`, relay, yes},
		{`caller.auth == "none"`, object.Caller{Principal: "bob"}, unknown},
		{`caller.auth == "oidc"`, token, yes},
		{`caller.gateway == "http"`, token, yes},
		{`caller.gateway == "pyro"`, token, no},
		{`caller.gateway == "object"`, calling, yes},
		{`caller.gateway == "http"`, overTLS, unknown},
		{`caller.gateway != "http"`, overTLS, unknown},
		{`caller.claims.sub == "repo:acme"`, token, yes},
		{`caller.claims["sub"] == "repo:acme"`, token, yes},
		{`caller.claims["https://example/role"] == "admin"`, token, yes},
		{`caller.claims.sub != "repo:acme"`, token, no},
		{`startswith(caller.claims.sub, "repo:")`, token, yes},
		{`caller.claims.sub == caller.claims.actor`, token, no},
		{`contains(caller.claims.groups, "staff")`, token, yes},
		{`contains(caller.claims.groups, "boss")`, token, no},
		{`contains(caller.claims.sub, "repo:acme")`, token, yes}, // one text is a list of one
		{`caller.claims.groups == "staff"`, token, unknown},
		{`caller.claims.groups != "staff"`, token, unknown},
		{`caller.claims.missing == "x"`, token, unknown},
		{`!(caller.claims.missing == "x")`, token, unknown},
		{`contains(caller.claims.missing, "x")`, token, unknown},
		{`caller.claims.sub == "repo:acme"`, overTLS, unknown},
		{`caller.claims.Sub == "repo:acme"`, token, unknown},
		{`caller.address == "192.0.2.7"`, overTLS, yes},
		{`caller.address == "2001:db8::7"`, over6, yes},
		{`caller.address == "192.0.2.7"`, overTCP, no},
		{`caller.address == "192.0.2.7"`, local, unknown},
		{`caller.address == "192.0.2.7"`, relay, unknown},
		{`in_network(caller.address, "10.0.0.0/8", "192.0.2.0/24")`, overTLS, yes},
		{`in_network(caller.address, "2001:db8::/32")`, over6, yes},
		{`in_network(caller.address, "192.0.2.0/29")`, overTLS, yes},
		{`in_network(caller.address, "192.0.2.8/29")`, overTLS, no},
		{`in_network(caller.address, "0.0.0.0/0")`, over6, no},
		{`in_network(caller.address, "::/0")`, overTLS, no},
		{`in_network(caller.address, "0.0.0.0/0", "::/0")`, local, unknown},
		{`in_network(caller.address, "0.0.0.0/0", "::/0")`, relay, unknown},
		{`in_network(caller.address, "10.0.0.0/8")`, numbers, unknown}, // an object 0.0.1 of a tenant 10
		{`caller.uid == 1001`, overTCP, yes},
		{`caller.uid == 1001`, local, no},
		{`caller.uid == 0`, root, yes},
		{`caller.uid == 0`, stranger, unknown}, // and not root's
		{`caller.uid == 0`, overTLS, unknown},
		{`caller.uid == 0`, relay, unknown},
		{`caller.cert.common_name == "partner"`, overTLS, yes},
		{`caller.cert.common_name == "other"`, overTLS, no},
		{`caller.cert.common_name == "partner"`, overTCP, unknown},
		{`caller.cert.common_name != "partner"`, overTCP, unknown},
		{`caller.cert.serial == "a0b"`, overTLS, yes},
		{`caller.cert.serial == "a0b"`, over6, unknown},
		{`caller.cert.sha256 == "` + strings.Repeat("ab", 32) + `"`, overTLS, yes},
		{`caller.cert.sha256 == "` + strings.Repeat("ab", 32) + `"`, stranger, unknown},
		{`contains(caller.cert.dns, "b.example")`, overTLS, yes},
		{`contains(caller.cert.dns, "c.example")`, overTLS, no},
		{`contains(caller.cert.dns, "b.example")`, local, unknown},
		{`contains(caller.cert.uri, "spiffe://example/p")`, overTLS, yes},
		{`contains(caller.cert.uri, "spiffe://example/p")`, local, unknown},
		{`object.id == "acme.shop.cart"`, local, yes},
		{`object.tenant == "acme"`, local, yes},
		{`object.tenant == "other"`, local, no},
		{`object.name == "shop.cart"`, local, yes},
		{`startswith(object.name, "shop.") && endswith(object.name, ".cart")`, local, yes},
		{`startswith(object.name, "cart")`, local, no},
		{`method == "add"`, local, yes},
		{`method == "reset"`, local, no},
		{`contains(["add", "get"], method)`, local, yes},
		// An unknown attribute makes the whole condition unknown, unless it is not evaluated.
		{`!(caller.uid == 1001)`, overTLS, unknown},
		{`caller.uid == 1001 || true`, overTLS, unknown},
		{`caller.uid == 1001 && false || true`, overTLS, unknown},
		{`true || caller.uid == 1001`, overTLS, yes},
		{`caller.auth == "peer" && caller.uid == 1001`, overTLS, no},
	} {
		for _, kind := range []string{"permit", "forbid"} {
			d := conditional(t, kind, tt.when).Decide(tt.who, "acme.shop.cart", "add")
			if d.Permit != (kind == "permit" && tt.want == yes || kind == "forbid" && tt.want == no) {
				t.Errorf("a %s when %s, of %+v: %+v, want %s", kind, tt.when, tt.who, d, tt.want)
			}
			if said := strings.Contains(d.Reason, "not known for this caller"); said != (tt.want == unknown) {
				t.Errorf("a %s when %s, of %+v: reason %q", kind, tt.when, tt.who, d.Reason)
			}
		}
	}
}

// TestTimes checks points in time, and times of day and weekdays in the zone of the policy.
func TestTimes(t *testing.T) {
	for _, tt := range []struct {
		when, at string
		want     bool
	}{
		{`time.now < "2027-01-31T18:00:00Z"`, "2027-01-31T17:59:59Z", true},
		{`time.now < "2027-01-31T18:00:00Z"`, "2027-01-31T18:00:00Z", false},
		{`time.now >= "2027-01-31T18:00:00+01:00"`, "2027-01-31T17:00:00Z", true},
		{`time.of_day >= "09:00" && time.of_day < "17:30"`, "2027-01-29T08:00:00Z", true}, // nine in Berlin
		{`time.of_day >= "09:00" && time.of_day < "17:30"`, "2027-01-29T07:59:59Z", false},
		{`time.of_day >= "09:00" && time.of_day < "17:30"`, "2027-01-29T16:29:59Z", true},
		{`time.of_day >= "09:00" && time.of_day < "17:30"`, "2027-01-29T16:30:00Z", false},
		{`time.of_day >= "09:00"`, "2027-07-30T07:00:00Z", true}, // in summer
		{`time.of_day == "00:00"`, "2027-01-28T23:00:30Z", false},
		{`time.weekday == "friday"`, "2027-01-28T23:00:00Z", true},
		{`time.weekday == "thursday"`, "2027-01-28T22:59:59Z", true},
		{`contains(["saturday", "sunday"], time.weekday)`, "2027-01-30T12:00:00Z", true},
	} {
		var g policy.Query
		if err := g.Set("time", tt.at); err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"permit", "forbid"} {
			p := conditional(t, kind, tt.when)
			if d := p.DecideQuery("bob", g, "acme.counter", "add"); d.Permit != (tt.want == (kind == "permit")) {
				t.Errorf("a %s when %s, at %s: %+v", kind, tt.when, tt.at, d)
			}
			if d := p.DecideQuery("bob", policy.Query{}, "acme.counter", "add"); d.Permit {
				t.Errorf("a %s when %s, at no time that is known: %+v", kind, tt.when, d)
			}
		}
	}
}

// TestNever checks that a constant that its variable can never equal is an error: a forbid with it would have no
// effect.
func TestNever(t *testing.T) {
	for _, when := range []string{
		`caller.cert.serial == "0A:0B"`,
		`caller.cert.serial == "0a0b"`,
		`caller.cert.sha256 == "AB"`,
		`caller.cert.serial == ""`,
		`contains(caller.cert.dns, "B.example")`,
		`caller.address == "::ffff:192.0.2.7"`,
		`caller.address == "192.0.2.007"`,
		`in_network(caller.address, "::ffff:192.0.2.0/120")`,
		`contains([], method)`,
		`object.name == "x" && object.id == "acme"`,
		`contains(caller.groups, "nobody")`,
		`caller.channel == "TLS"`,
		`time.weekday == "Monday"`,
	} {
		src := head + "forbid \"f\" {\n principals = [\"bob\"]\n objects = [\"acme.*\"]\n when = " + when + "\n}\n"
		if _, err := policyfile.Parse("policy.hcl", []byte(src), "/base", hostUID, accounts); err == nil {
			t.Errorf("%s was taken", when)
		}
	}
}
