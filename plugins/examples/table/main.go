// Command table is an example plugin: a key-value table that all callers share.
package main

import (
	"maps"
	"slices"

	"github.com/hearthhost/hearth/plugins/sdk"
)

type table struct{ rows map[string]any }

func (t *table) put(key string, value any) { t.rows[key] = value }

func (t *table) get(key string) (any, error) {
	v, ok := t.rows[key]
	if !ok {
		return nil, sdk.Raise("KeyError", key)
	}
	return v, nil
}

func (t *table) keys() []string { return slices.Sorted(maps.Keys(t.rows)) }
func (t *table) size() int      { return len(t.rows) }

func object() *sdk.Object {
	return sdk.New(sdk.Single, "A key-value table.", func() *table { return &table{map[string]any{}} }).
		Method("put", (*table).put, "Stores a value.", "key", "value").
		Method("get", (*table).get, "Returns the value of a key, or raises KeyError.", "key").
		Method("keys", (*table).keys, "Returns the keys, sorted.").
		Attribute("size", (*table).size, nil, "How many rows there are.")
}

func main() { sdk.Serve(object()) }
