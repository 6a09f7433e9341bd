package policy

import (
	"math/bits"
	"slices"
	"strings"
	"sync"

	"github.com/hearthhost/hearth/object"
)

// Listings returns the visible objects of callers from a fixed list of objects, as [Policy.Visible] and
// [Policy.VisibleWithTracebacks] do for one object.
//
// It matches the rules once for each principal, and caches for each object whether it is visible, hidden, or subject
// to conditions. Conditions are evaluated each time, because they read the time and the connection.
//
// The cache has a bounded size and evicts other principals. Methods may be called concurrently.
type Listings struct {
	p    *Policy
	ids  []object.ID
	most int // bound of size

	mu    sync.Mutex // guards known and size
	known map[listingKey]*listing
	size  int // approximate bytes of the known listings
}

// maxListings bounds the cache in bytes. The visible objects of one principal, of 10,000 objects without conditions,
// take about 1,300 bytes.
const maxListings = 8 << 20

// listingKey identifies a listing. Only conditions depend on further attributes of the caller.
type listingKey struct {
	who        object.Principal
	tenant     object.Tenant // tenant of the caller
	tracebacks bool          // only permits with tracebacks count
}

// listing holds the matched rules of one principal for all objects.
type listing struct {
	once    sync.Once // guards the fields below while match fills them in
	visible bitset    // visible under all conditions
	count   int       // number of objects in visible
	groups  []*conditionalGroup
	keyed   []keyedListing
	size    int // bytes that Listings.size counts; guarded by Listings.mu
}

// conditionalGroup holds objects of one tenant that the same rules cover, at least one of them with a condition.
type conditionalGroup struct {
	rules *entry  // matched rules of the first object
	each  bool    // the conditions read the object and are evaluated for each
	at    []int32 // indexes in Listings.ids
}

// keyedListing is a keyed object whose visibility depends on conditions. It is visible if one of its examples is.
type keyedListing struct {
	at       int // index in Listings.ids
	examples []*entry
}

// NewListings returns Listings of objects, which it returns in this order. The key of a keyed object is
// [object.AnyKey]. Do not modify ids afterwards.
func (p *Policy) NewListings(ids []object.ID) *Listings {
	return &Listings{p: p, ids: ids, most: maxListings, known: map[listingKey]*listing{}}
}

// Cover reports whether these are the Listings of a policy and objects.
func (l *Listings) Cover(p *Policy, ids []object.ID) bool {
	if l == nil || l.p != p || len(l.ids) != len(ids) {
		return false
	}
	for i, id := range l.ids {
		if id != ids[i] {
			return false
		}
	}
	return true
}

// Visible returns the objects that the caller may call.
func (l *Listings) Visible(caller object.Caller) []object.ID { return l.list(&caller, false) }

// VisibleWithTracebacks returns the objects that the caller may call and of which it may see tracebacks.
func (l *Listings) VisibleWithTracebacks(caller object.Caller) []object.ID {
	return l.list(&caller, true)
}

// Count returns the number of objects that the caller may call.
func (l *Listings) Count(caller object.Caller) int {
	_, count := l.decide(&caller, false)
	return count
}

func (l *Listings) list(caller *object.Caller, tracebacks bool) []object.ID {
	visible, count := l.decide(caller, tracebacks)
	out := make([]object.ID, 0, count)
	for i, word := range visible {
		for ; word != 0; word &= word - 1 {
			out = append(out, l.ids[i*64+bits.TrailingZeros64(word)])
		}
	}
	return out
}

// decide returns the objects that are visible now, and their number. Do not modify the bitset.
func (l *Listings) decide(caller *object.Caller, tracebacks bool) (visible bitset, count int) {
	known := l.listing(listingKey{caller.Principal, caller.Tenant, tracebacks})
	visible, count = known.visible, known.count
	if len(known.groups)+len(known.keyed) == 0 {
		return visible, count
	}
	visible = append(bitset(nil), visible...)
	for _, g := range known.groups {
		holds := false
		for i, at := range g.at {
			if i == 0 || g.each {
				f := l.p.context(caller, l.ids[at], "", nil)
				holds = g.rules.anyMethodPermitted(f, tracebacks)
				f.Release()
			}
			if holds {
				visible.set(int(at))
				count++
			}
		}
	}
	for _, k := range known.keyed {
		if slices.ContainsFunc(k.examples, func(e *entry) bool {
			f := l.p.context(caller, e.id, "", nil)
			defer f.Release()
			return e.anyMethodPermitted(f, tracebacks)
		}) {
			visible.set(k.at)
			count++
		}
	}
	return visible, count
}

// listing returns the cached listing of a key, or matches the rules.
func (l *Listings) listing(key listingKey) *listing {
	l.mu.Lock()
	known := l.known[key]
	if known == nil {
		known = &listing{}
		l.known[key] = known
	}
	l.mu.Unlock()
	known.once.Do(func() {
		l.match(key, known)
		l.retain(key, known)
	})
	return known
}

// match fills in a listing.
func (l *Listings) match(key listingKey, out *listing) {
	out.visible = make(bitset, (len(l.ids)+63)/64)
	groups := map[string]*conditionalGroup{}
	for i, id := range l.ids {
		if isFamily(id) {
			l.matchKeyed(key, out, i)
			continue
		}
		if !l.p.Addressable(id) {
			continue
		}
		e := l.p.entry(key.who, id, "")
		sibling := e.Sibling && key.tenant == id.Tenant() && (l.p.Siblings.Tracebacks || !key.tracebacks)
		if sibling || e.unconditional {
			if sibling || e.anyMethodPermitted(nil, key.tracebacks) {
				out.visible.set(i)
				out.count++
			}
			continue
		}
		name := e.rulesKey()
		g := groups[name]
		if g == nil {
			g = &conditionalGroup{rules: e, each: e.usesObject()}
			groups[name] = g
			out.groups = append(out.groups, g)
		}
		g.at = append(g.at, int32(i))
	}
}

// matchKeyed fills in one keyed object.
func (l *Listings) matchKeyed(key listingKey, out *listing, i int) {
	conditional := keyedListing{at: i}
	for _, id := range l.p.examples(key.who, l.ids[i]) {
		e := l.p.entry(key.who, id, "")
		sibling := e.Sibling && key.tenant == id.Tenant() && (l.p.Siblings.Tracebacks || !key.tracebacks)
		switch {
		case sibling, e.unconditional && e.anyMethodPermitted(nil, key.tracebacks):
			out.visible.set(i)
			out.count++
			return
		case !e.unconditional:
			conditional.examples = append(conditional.examples, e)
		}
	}
	if conditional.examples != nil {
		out.keyed = append(out.keyed, conditional)
	}
}

// retain counts the bytes of a listing and evicts others above the bound.
func (l *Listings) retain(key listingKey, known *listing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known[key] != known {
		return // evicted meanwhile
	}
	known.size = 200 + len(key.who) + len(key.tenant) + 8*len(known.visible)
	for _, g := range known.groups {
		known.size += 300 + 8*(len(g.rules.Permits)+len(g.rules.Forbids)) + 4*cap(g.at)
	}
	for _, k := range known.keyed {
		known.size += 400 * len(k.examples)
	}
	l.size += known.size
	for other, one := range l.known {
		if l.size <= l.most {
			break
		}
		if other != key || one.size > l.most {
			l.size -= one.size
			delete(l.known, other)
		}
	}
}

// rulesKey returns a key for the tenant and the rules of an entry: equal keys have equal rules.
func (e *entry) rulesKey() string {
	var b strings.Builder
	b.WriteString(string(e.id.Tenant()))
	for _, list := range [...][]*Rule{e.Permits, e.Forbids} {
		b.WriteByte(0) // not in names
		for _, r := range list {
			b.WriteString(r.Name)
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// usesObject reports whether a condition reads more of an object than its tenant.
func (e *entry) usesObject() bool {
	for _, list := range [...][]*Rule{e.Permits, e.Forbids} {
		for _, r := range list {
			if r.When != nil && r.When.UsesObject {
				return true
			}
		}
	}
	return false
}

// bitset is a set of small numbers.
type bitset []uint64

func (b bitset) set(i int) { b[i/64] |= 1 << (i % 64) }
