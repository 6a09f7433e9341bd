package apply

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
)

// TestCache notes, replaces and forgets rows. Large values are not kept, and the memory is bounded.
func TestCache(t *testing.T) {
	c := NewCache()
	at := place{"acme.x", "k"}
	value := []byte("1")
	c.putRow(at, row{value: value, version: 7, had: true})
	value[0] = '2' // the memory of a batch is used again
	if r, ok := c.row(at); !ok || string(r.value) != "1" || r.version != 7 || !r.had {
		t.Errorf("row = %+v, %v", r, ok)
	}
	if _, ok := c.row(place{"acme.y", "k"}); ok {
		t.Error("a row of another object")
	}
	c.putRow(at, row{})
	if r, ok := c.row(at); !ok || r.had {
		t.Errorf("a missing row = %+v, %v", r, ok)
	}
	c.putRow(at, row{value: []byte(strings.Repeat("x", maxCachedValue+1)), had: true})
	if _, ok := c.row(at); ok || c.bytes != 0 {
		t.Errorf("a large value is kept; %d bytes", c.bytes)
	}
	for i := range 2 * maxCachedBytes / cachedRowBytes {
		c.putRow(place{"acme.x", fmt.Sprint(i)}, row{had: true})
		if c.bytes > maxCachedBytes {
			t.Fatalf("%d bytes after %d rows", c.bytes, i)
		}
	}
	for i := range 2 * maxCachedUsage {
		c.putUsage(object.ID(fmt.Sprintf("acme.x:%d", i)), objectUsage{keys: 1})
	}
	if len(c.usage) > maxCachedUsage {
		t.Errorf("the usage of %d objects", len(c.usage))
	}
	c.Clear()
	if _, ok := c.row(place{"acme.x", "0"}); ok || c.bytes != 0 || len(c.usage) != 0 {
		t.Error("rows after Clear")
	}
}
