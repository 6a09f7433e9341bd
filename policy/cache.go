package policy

import (
	"hash/maphash"
	"math/rand/v2"
	"sync/atomic"

	"github.com/hearthhost/hearth/object"
)

// cache maps a principal, an object and a method to the rules that cover them. Its size is bounded: new entries
// replace old ones. It is safe for concurrent use, and readers do not block.
type cache struct {
	seed    maphash.Seed
	matches atomic.Int64 // number of matches, for tests
	sets    [cacheSets][cacheWays]atomic.Pointer[entry]
}

// The cache has at most 4096 entries. An entry takes at most 4 KiB, because names are bounded, and usually 250 bytes.
const (
	cacheSets = 1024
	cacheWays = 4
)

// entry is the cached result of one match. It is immutable.
type entry struct {
	who    object.Principal
	id     object.ID
	method object.Method // "": the whole object; such entries are not cached
	Matched
	unconditional bool // no rule has a condition
}

func newCache() *cache { return &cache{seed: maphash.MakeSeed()} }

// set returns the slots of a key.
func (c *cache) set(who object.Principal, id object.ID, m object.Method) *[cacheWays]atomic.Pointer[entry] {
	h := maphash.String(c.seed, string(id))
	h = h*31 + maphash.String(c.seed, string(m))
	h = h*31 + maphash.String(c.seed, string(who))
	return &c.sets[(h^h>>32)%cacheSets]
}

// get returns the entry of a key, or nil.
func (c *cache) get(who object.Principal, id object.ID, m object.Method) *entry {
	set := c.set(who, id, m)
	for i := range set {
		if e := set[i].Load(); e != nil && e.id == id && e.method == m && e.who == who {
			return e
		}
	}
	return nil
}

// put stores an entry and replaces a random one of its set if that is full.
func (c *cache) put(e *entry) {
	set := c.set(e.who, e.id, e.method)
	for i := range set {
		if set[i].CompareAndSwap(nil, e) {
			return
		}
	}
	set[rand.IntN(cacheWays)].Store(e) //nolint:gosec // not used for security
}

// entry matches the rules of a call, or with an empty method of an object.
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
