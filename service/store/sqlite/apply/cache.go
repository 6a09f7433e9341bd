package apply

import (
	"bytes"

	"github.com/hearthhost/hearth/object"
)

// Cache has rows of the file as of the last statement of the writer's transaction. While the process owns the store,
// which each transaction checks first, no other process writes them. After a transaction that was rolled back the cache
// is empty. It belongs to the writer's goroutine.
type Cache struct {
	usage map[object.ID]objectUsage
	rows  map[place]row
	bytes int // of the rows
}

// place is a key of an object.
type place struct {
	object object.ID
	key    string
}

// Bounds of a cache. A full cache is emptied: most stores are small, or much larger than any cache.
const (
	maxCachedValue = 1 << 10 // bytes of a value; larger ones are not kept
	maxCachedBytes = 4 << 20 // of all rows
	maxCachedUsage = 10_000  // objects
	cachedRowBytes = 200     // of a row besides its key and value
)

// NewCache returns an empty cache.
func NewCache() *Cache { return &Cache{usage: map[object.ID]objectUsage{}, rows: map[place]row{}} }

// Clear empties the cache.
func (c *Cache) Clear() {
	clear(c.usage)
	clear(c.rows)
	c.bytes = 0
}

// row returns a row. ok is false if the cache does not have it. A row with had = false is missing in the file.
func (c *Cache) row(at place) (r row, ok bool) {
	r, ok = c.rows[at]
	return r, ok
}

// putRow notes a row of the file. It copies the value, whose memory may be that of a batch.
func (c *Cache) putRow(at place, r row) {
	c.remove(at)
	if len(r.value) > maxCachedValue {
		return
	}
	r.value = bytes.Clone(r.value)
	c.rows[at] = r
	if c.bytes += rowBytes(at, &r); c.bytes > maxCachedBytes {
		clear(c.rows)
		c.bytes = 0
	}
}

func rowBytes(at place, r *row) int {
	return cachedRowBytes + len(at.object) + len(at.key) + len(r.value)
}

// remove forgets a row.
func (c *Cache) remove(at place) {
	if r, ok := c.rows[at]; ok {
		c.bytes -= rowBytes(at, &r)
		delete(c.rows, at)
	}
}

// putUsage notes the usage of an object.
func (c *Cache) putUsage(id object.ID, u objectUsage) {
	if len(c.usage) >= maxCachedUsage {
		clear(c.usage)
	}
	c.usage[id] = u
}
