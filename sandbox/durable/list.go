package durable

import (
	"context"
	"math"
	"slices"

	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/service/store"
)

// pageItems is the number of items that an iterator reads at a time.
const pageItems = 100

// cursor is the state of an iterator over a range.
type cursor struct {
	r    store.Range // the part that is not read yet; Limit is the size of a page
	left int         // items that may still be returned
	end  bool        // the range is read

	keys   []string
	values *lua.Table // of keys
	at     int
}

// list implements hearth.store.list(options). It returns an iterator over keys and values.
func (lib *Library) list(L *lua.Thread) int {
	lib.context(L)
	c := &cursor{left: math.MaxInt}
	if !L.Get(1).IsNil() {
		for k, v := range L.CheckTable(1).All() {
			name, _ := k.AsString()
			lib.listOption(L, c, name, v)
		}
	}
	c.r.Limit = pageItems
	if err := c.r.Check(); err != nil {
		lib.raise(L, err)
	}
	c.values = L.NewTable(0, 0)
	const cursorBytes = 2000
	L.Push(lua.NewIterator(func(L *lua.Thread) int { return lib.next(L, c) }, cursorBytes, c.values.Value(), lua.Nil).
		Value())
	return 1
}

func (lib *Library) listOption(L *lua.Thread, c *cursor, name string, v lua.Value) {
	text, isText := v.AsString()
	n, isNumber := v.AsNumber()
	to := map[string]*string{"prefix": &c.r.Prefix, "after": &c.r.After, "before": &c.r.Before}[name]
	switch {
	case to != nil && isText:
		*to = text
	case name == "limit" && isNumber && n >= 1 && n == math.Trunc(n):
		c.left = int(min(n, math.MaxInt32))
	case name == "reverse" && v.Kind() == lua.BoolKind:
		c.r.Reverse = v.Truth()
	case to != nil:
		L.ArgError(1, "%s must be a text", name)
	case name == "limit":
		L.ArgError(1, "limit must be an integer of at least 1")
	case name == "reverse":
		L.ArgError(1, "reverse must be true or false")
	default:
		L.ArgError(1, "unknown option; the options are prefix, after, before, reverse and limit")
	}
}

// next returns the next key and its value, nil at the end.
func (lib *Library) next(L *lua.Thread, c *cursor) int {
	L.Charge(writeSteps)
	for c.at == len(c.keys) && !c.end && c.left > 0 {
		lib.page(L, c)
	}
	if c.at == len(c.keys) || c.left == 0 {
		L.Push(lua.Nil)
		return 1
	}
	c.at++
	c.left--
	L.PushString(c.keys[c.at-1])
	L.Push(c.values.GetInt(c.at))
	return 2
}

// page reads the next page of an iterator and merges the writes of the call.
func (lib *Library) page(L *lua.Thread, c *cursor) {
	var items []store.Item
	var more bool
	lib.wait(L, func(ctx context.Context) (err error) {
		items, more, err = lib.cfg.Services.Store.List(ctx, lib.cfg.Object(), c.r)
		return err
	})
	from, to := c.r.Bounds()
	if more { // the page covers the range up to its last key
		last := items[len(items)-1].Key
		if c.r.Reverse {
			from, c.r.Before = last, last
		} else {
			to, c.r.After = last+"\x00", last
		}
	}
	c.end = !more
	docs := map[string][]byte{}
	c.keys, c.at = nil, 0
	for _, it := range items {
		docs[it.Key] = it.Value
		c.keys = append(c.keys, it.Key)
	}
	for _, key := range lib.buffer.keys(from, to) {
		if _, ok := docs[key]; !ok {
			c.keys = append(c.keys, key)
		}
		docs[key] = lib.buffer.find(key).value
	}
	c.keys = slices.DeleteFunc(c.keys, func(key string) bool { return docs[key] == nil })
	slices.Sort(c.keys)
	if c.r.Reverse {
		slices.Reverse(c.keys)
	}
	for i := c.values.Len(); i > 0; i-- {
		c.values.SetInt(i, lua.Nil)
	}
	for i, key := range c.keys {
		L.Charge(writeSteps)
		L.RawSetInt(c.values, i+1, lib.decode(L, docs[key]))
	}
}
