package policy

import (
	"hash/maphash"
	"math/rand/v2"
	"sync/atomic"

	"github.com/hearthhost/hearth/object"
)

// cache remembers what rules are about a principal, an object and a method. It holds a
// bounded number of them: who asks about ever new names makes it forget, not grow. It is
// safe for concurrent use, and readers never wait.
type cache struct {
	seed    maphash.Seed
	matches atomic.Int64 // how often rules were matched; for tests
	sets    [cacheSets][cacheWays]atomic.Pointer[entry]
}

// At most 4096 entries of 4 KiB at worst (names are bounded) and 250 bytes usually.
const (
	cacheSets = 1024
	cacheWays = 4
)

// entry is one remembered match. It is immutable.
type entry struct {
	who    object.Principal
	id     object.ID
	method object.Method // "": the object as a whole, which is never remembered
	Matched
	unconditional bool // no rule in it has a condition
}

func newCache() *cache { return &cache{seed: maphash.MakeSeed()} }

func (c *cache) set(who object.Principal, id object.ID, m object.Method) *[cacheWays]atomic.Pointer[entry] {
	h := maphash.String(c.seed, string(id))
	h = h*31 + maphash.String(c.seed, string(m))
	h = h*31 + maphash.String(c.seed, string(who))
	return &c.sets[(h^h>>32)%cacheSets]
}

// get returns what is remembered, or nil.
func (c *cache) get(who object.Principal, id object.ID, m object.Method) *entry {
	set := c.set(who, id, m)
	for i := range set {
		if e := set[i].Load(); e != nil && e.id == id && e.method == m && e.who == who {
			return e
		}
	}
	return nil
}

// put remembers an entry, and forgets another if there is no room.
func (c *cache) put(e *entry) {
	set := c.set(e.who, e.id, e.method)
	for i := range set {
		if set[i].CompareAndSwap(nil, e) {
			return
		}
	}
	set[rand.IntN(cacheWays)].Store(e) //nolint:gosec // which one is forgotten is no secret
}

// entry returns what rules say about a call, or, with an empty method, an object.
func (p *Policy) entry(who object.Principal, id object.ID, m object.Method) *entry {
	p.cache.matches.Add(1)
	e := &entry{who: who, id: id, method: m, Matched: p.Match(who, id, m), unconditional: true}
	for _, list := range [...][]*Rule{e.Permits, e.Forbids} {
		for _, r := range list {
			e.unconditional = e.unconditional && r.When == nil
		}
	}
	return e
}
