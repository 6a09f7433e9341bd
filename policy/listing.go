package policy

import (
	"math/bits"
	"strings"
	"sync"

	"github.com/hearthhost/hearth/object"
)

// Listings answers which of a fixed list of objects callers may call, as [Policy.Visible] and
// [Policy.Debugs] do for one object. It matches the rules once for each principal and remembers, for
// each object, that it is visible, that it is not, or which conditions decide. Conditions are evaluated
// each time: they ask for the time, or for facts of a connection.
//
// What it remembers is bounded: principals in excess are forgotten. Its methods may be called
// concurrently.
type Listings struct {
	p    *Policy
	ids  []object.ID
	most int // bytes that the known listings may take

	mu    sync.Mutex // guards what follows
	known map[listingKey]*listing
	size  int // about how many bytes the known listings take
}

// maxListings bounds the bytes of what Listings remember. The visible objects of one principal, of 10,000
// objects without conditions, take some 1,300.
const maxListings = 8 << 20

// listingKey is what a listing depends on, apart from the facts of its conditions.
type listingKey struct {
	who        object.Principal
	tenant     object.Tenant // of the caller
	tracebacks bool          // visible with tracebacks
}

// listing is what the rules say about one principal and all objects.
type listing struct {
	once    sync.Once // fills in the rest
	visible bitset    // whatever conditions say
	count   int       // objects in visible
	groups  []*alike
	size    int // bytes, once it is counted in Listings.size; guarded by Listings.mu
}

// alike is objects of one tenant that the same rules cover, some of which have conditions.
type alike struct {
	rules *entry  // of the first of the objects
	each  bool    // the conditions ask for the object
	at    []int32 // in Listings.ids
}

// NewListings returns Listings of objects, in the order in which it returns them. The caller does not
// change ids later.
func (p *Policy) NewListings(ids []object.ID) *Listings {
	return &Listings{p: p, ids: ids, most: maxListings, known: map[listingKey]*listing{}}
}

// Of reports whether these are the Listings of a policy and objects.
func (l *Listings) Of(p *Policy, ids []object.ID) bool {
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

// Debugs returns the objects that the caller may call and see tracebacks of.
func (l *Listings) Debugs(caller object.Caller) []object.ID { return l.list(&caller, true) }

// Count returns how many objects the caller may call.
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

// decide returns which objects are visible now, and how many. The bitset is not to be changed.
func (l *Listings) decide(caller *object.Caller, tracebacks bool) (visible bitset, count int) {
	known := l.listing(listingKey{caller.Principal, caller.Tenant, tracebacks})
	visible, count = known.visible, known.count
	if len(known.groups) == 0 {
		return visible, count
	}
	visible = append(bitset(nil), visible...)
	for _, g := range known.groups {
		holds := false
		for i, at := range g.at {
			if i == 0 || g.each {
				f := l.p.context(caller, l.ids[at], "", nil)
				holds = g.rules.reachable(f, tracebacks)
				f.Release()
			}
			if holds {
				visible.set(int(at))
				count++
			}
		}
	}
	return visible, count
}

// listing returns what is remembered of a key, or matches the rules.
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
		l.keep(key, known)
	})
	return known
}

// match fills in a listing.
func (l *Listings) match(key listingKey, out *listing) {
	out.visible = make(bitset, (len(l.ids)+63)/64)
	groups := map[string]*alike{}
	for i, id := range l.ids {
		if !l.p.Addressable(id) {
			continue
		}
		e := l.p.entry(key.who, id, "")
		sibling := e.Sibling && key.tenant == id.Tenant() && (l.p.Siblings.Tracebacks || !key.tracebacks)
		if sibling || e.unconditional {
			if sibling || e.reachable(nil, key.tracebacks) {
				out.visible.set(i)
				out.count++
			}
			continue
		}
		name := e.rulesText()
		g := groups[name]
		if g == nil {
			g = &alike{rules: e, each: e.asksObject()}
			groups[name] = g
			out.groups = append(out.groups, g)
		}
		g.at = append(g.at, int32(i))
	}
}

// keep counts the bytes of a listing, and forgets others if there are too many.
func (l *Listings) keep(key listingKey, known *listing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known[key] != known {
		return // another principal's took its place meanwhile
	}
	known.size = 200 + len(key.who) + len(key.tenant) + 8*len(known.visible)
	for _, g := range known.groups {
		known.size += 300 + 8*(len(g.rules.Permits)+len(g.rules.Forbids)) + 4*cap(g.at)
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

// rulesText names the tenant and the rules of an entry: equal texts have equal rules.
func (e *entry) rulesText() string {
	var b strings.Builder
	b.WriteString(string(e.id.Tenant()))
	for _, list := range [...][]*Rule{e.Permits, e.Forbids} {
		b.WriteByte(0) // which no name has
		for _, r := range list {
			b.WriteString(r.Name)
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// asksObject reports whether a condition asks for more of an object than its tenant.
func (e *entry) asksObject() bool {
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
