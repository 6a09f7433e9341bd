package condition_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
)

// TestConditionsAreLinear evaluates each function and comparison with texts of megabytes that differ in their last
// byte, and with lists of thousands of texts. A caller chooses these, and an event loop decides the calls of all
// tenants. The test has no clock: with a quadratic algorithm it would take hours.
func TestConditionsAreLinear(t *testing.T) {
	const size = 4 << 20
	long := strings.Repeat("a", size)
	most := long[:size-1] + "b"
	short := long[:1000]
	list := slices.Repeat([]string{short}, 20_000)
	claims := func(sub, actor string) *object.Claims {
		return &object.Claims{Values: map[string]object.Claim{
			"sub": {Text: sub}, "actor": {Text: actor}, "groups": {List: list},
		}}
	}
	for _, tt := range []struct {
		when       string
		sub, actor string
		addr       string
		want       bool
	}{
		{when: `caller.claims.sub == caller.claims.actor`, sub: long, actor: most},
		{when: `caller.claims.sub != caller.claims.actor`, sub: long, actor: most, want: true},
		{when: `startswith(caller.claims.sub, caller.claims.actor)`, sub: long, actor: most},
		{when: `startswith(caller.claims.sub, caller.claims.actor)`, sub: long, actor: long[:size-1], want: true},
		{when: `endswith(caller.claims.sub, caller.claims.actor)`, sub: long, actor: "b" + long[:size-1]},
		{when: `endswith(caller.claims.sub, caller.claims.actor)`, sub: most, actor: most[1:], want: true},
		{when: `contains(caller.claims.groups, caller.claims.sub)`, sub: short[1:] + "b"},
		{when: `contains(caller.claims.groups, caller.claims.sub)`, sub: short, want: true},
		{when: `contains(["` + short[:100] + `", "x"], caller.claims.sub)`, sub: long},
		{when: `in_network(caller.address, "192.0.2.0/24")`, addr: strings.Repeat("1", size)},
		{when: `in_network(caller.address, "2001:db8::/32")`, addr: strings.Repeat("1:", size/2)},
		{when: `in_network(caller.claims.sub, "192.0.2.0/24")`, sub: strings.Repeat("1.", size/2)},
	} {
		t.Run(fmt.Sprintf("%.60s", tt.when), func(t *testing.T) {
			p := conditional(t, "permit", tt.when)
			peer := object.Peer{Auth: "oidc", Channel: "tls", Addr: tt.addr, Claims: claims(tt.sub, tt.actor)}
			who := object.Caller{Principal: "bob", Peer: peer}
			if got := p.Decide(who, "acme.x", "m").Permit; got != tt.want {
				t.Errorf("permitted: %v, want %v", got, tt.want)
			}
		})
	}
}
