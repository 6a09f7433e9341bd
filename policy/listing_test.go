package policy_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// listedObjects returns the objects of the tenants of the large policy.
func listedObjects() []object.ID {
	var ids []object.ID
	for i := range 100 {
		for j := range 100 {
			ids = append(ids, object.ID(fmt.Sprintf("t%d.o%d", i, j)))
		}
	}
	slices.Sort(ids)
	return ids
}

// visibleOne decides for each object separately.
func visibleOne(p *policy.Policy, who object.Caller, ids []object.ID, tracebacks bool) []object.ID {
	out := []object.ID{}
	for _, id := range ids {
		if !tracebacks && p.Visible(who, id) || tracebacks && p.VisibleWithTracebacks(who, id) {
			out = append(out, id)
		}
	}
	return out
}

// TestListings compares listings with decisions on each object, under all kinds of conditions. Rules must be matched
// once for each principal and object.
func TestListings(t *testing.T) {
	p := mustParse(t, large())
	ids := listedObjects()
	l := p.NewListings(ids)
	for _, name := range []object.Principal{"p0", "p15", "p151", "p9999", "nobody", object.Anonymous} {
		for _, channel := range []string{"tcp", "tls", ""} {
			who := caller(name)
			who.Peer.Channel = channel
			want := visibleOne(p, who, ids, false)
			if got := l.Visible(who); !slices.Equal(got, want) {
				t.Errorf("%s by %q: %d objects, want %d", name, channel, len(got), len(want))
			}
			if got := l.Count(who); got != len(want) {
				t.Errorf("%s by %q: count %d, want %d", name, channel, got, len(want))
			}
			if got, want := l.VisibleWithTracebacks(who), visibleOne(p, who, ids, true); !slices.Equal(got, want) {
				t.Errorf("%s by %q with tracebacks: %d objects, want %d", name, channel, len(got), len(want))
			}
		}
		before := policy.Matches(p)
		for range 10 {
			l.Visible(caller(name))
			l.Count(caller(name))
			l.VisibleWithTracebacks(caller(name))
		}
		if n := policy.Matches(p) - before; n != 0 {
			t.Errorf("%s: listing again matches the rules %d times", name, n)
		}
	}
	before := policy.Matches(p)
	fresh := p.NewListings(ids)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { fresh.Count(caller("p151")) })
	}
	all.Wait()
	if n := policy.Matches(p) - before; n != int64(len(ids)) {
		t.Errorf("eight first listings of %d objects at once match the rules %d times", len(ids), n)
	}
}

// TestListingConditions checks that conditions are evaluated at each listing, with the attributes of its caller.
func TestListingConditions(t *testing.T) {
	ids := []object.ID{"acme.a", "acme.b", "acme.c", "blue.a", "gone.a"}
	all, none := ids[:4:4], []object.ID{}
	for when, facts := range map[string]map[string][]object.ID{
		`caller.address == "192.0.2.1"`: {"192.0.2.1:5": all, "192.0.2.2:5": none,
			"": none},
		`object.name == "a"`: {"192.0.2.1:5": {"acme.a", "blue.a"}},
		`object.id == "acme.b" || object.tenant == "blue"`: {"192.0.2.1:5": {"acme.b", "blue.a"}},
		`object.tenant == "blue"`:                          {"192.0.2.1:5": {"blue.a"}},
		`method == "get"`:                                  {"192.0.2.1:5": all},
		`in_network(caller.address, "192.0.2.0/31") && object.name != "a"`: {"192.0.2.1:5": {"acme.b", "acme.c"},
			"192.0.2.2:5": none},
	} {
		p := mustParse(t, `
listener "local" { address = "127.0.0.1:7766" }
principal "x" { uid = 1000 }
tenant "acme" {}
tenant "blue" {}
permit "all" {
  principals = ["x"]
  objects    = ["*"]
  when       = `+when+`
}
forbid "not c from elsewhere" {
  principals = ["x"]
  objects    = ["acme.c"]
  when       = caller.channel == "unix"
}
`)
		l := p.NewListings(ids)
		for range 2 {
			for address, want := range facts {
				who := caller("x")
				who.Peer.Channel, who.Peer.Addr = "tcp", address
				got, each := l.Visible(who), visibleOne(p, who, ids, false)
				if !slices.Equal(got, want) || !slices.Equal(got, each) {
					t.Errorf("%s from %s: %v, want %v", when, address, got, want)
				}
				who.Peer.Channel = "unix"
				got, each = l.Visible(who), visibleOne(p, who, ids, false)
				if !slices.Equal(got, each) || slices.Contains(got, "acme.c") {
					t.Errorf("%s by Unix socket from %s: %v", when, address, got)
				}
			}
		}
	}
}

// TestListingsOfSiblings checks that an object's listing depends on its tenant.
func TestListingsOfSiblings(t *testing.T) {
	p, err := policy.Default(t.TempDir(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	ids := []object.ID{"acme.a", "acme.b", "blue.a"}
	l := p.NewListings(ids)
	who := object.Caller{Principal: "object:acme.a", Tenant: "acme", Peer: object.Peer{Channel: "object"}}
	if got := l.Visible(who); !slices.Equal(got, ids[:2]) {
		t.Errorf("of the tenant: %v", got)
	}
	who.Tenant = ""
	if got := l.Visible(who); len(got) != 0 {
		t.Errorf("without a tenant: %v", got)
	}
}

// TestListingsAreBounded checks that the cache does not exceed its bound, and that evicted principals are matched
// again.
func TestListingsAreBounded(t *testing.T) {
	p := mustParse(t, `
listener "local" { address = "127.0.0.1:7766" }
tenant "t0" {}
permit "some" {
  principals = ["anonymous"]
  objects    = ["t0.o1*"]
}
`)
	var ids []object.ID
	for i := range 1000 {
		ids = append(ids, object.ID(fmt.Sprintf("t0.o%d", i)))
	}
	l := p.NewListings(ids)
	const most, enough = 10_000, 20 // principals of some 330 bytes
	policy.BoundListings(l, most)
	want := l.Count(caller(object.Anonymous))
	for i := range 200 {
		l.Count(caller(object.Principal(fmt.Sprintf("p%d", i))))
		if bytes, principals := policy.ListingBytes(l); bytes > most || i > 100 && principals < enough {
			t.Fatalf("%d principals in %d bytes", principals, bytes)
		}
	}
	if got := l.Count(caller(object.Anonymous)); got != want || want == 0 {
		t.Errorf("after others: %d objects, want %d", got, want)
	}
	policy.BoundListings(l, 100)
	l.Count(caller("last"))
	if bytes, principals := policy.ListingBytes(l); bytes != 0 || principals != 0 {
		t.Errorf("with room for none: %d principals in %d bytes", principals, bytes)
	}
}

// TestListingsCover checks that Listings cover exactly one policy and its objects.
func TestListingsCover(t *testing.T) {
	p, q := mustParse(t, head), mustParse(t, head)
	ids := []object.ID{"acme.a", "acme.b"}
	l := p.NewListings(ids)
	others := []object.ID{"acme.a", "acme.c"}
	if !l.Cover(p, slices.Clone(ids)) || l.Cover(q, ids) || l.Cover(p, ids[:1]) || l.Cover(p, others) ||
		(*policy.Listings)(nil).Cover(p, nil) {
		t.Error("the wrong ones")
	}
}

// BenchmarkListing lists 10,000 objects under 1,000 rules, without and with cache.
func BenchmarkListing(b *testing.B) {
	p := mustParse(b, large())
	ids := listedObjects()
	who := caller("p151")
	who.Peer.Channel = "tls"
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p.NewListings(ids).Count(who)
		}
	})
	l := p.NewListings(ids)
	b.Run("count", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			l.Count(who)
		}
	})
	b.Run("list", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			l.Visible(who)
		}
	})
}
