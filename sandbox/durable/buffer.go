package durable

import (
	"slices"

	"github.com/hearthhost/hearth/service/store"
)

// buffer holds the writes of a call that are not committed.
type buffer struct {
	writes   []store.Write
	values   [][]byte         // values of the keys after each write; nil: the key is missing
	last     map[string]int   // index of the last write of each key
	bytes    int              // of keys and values
	deferred bool             // the last write is an increment whose result is not known
	versions map[string]int64 // versions that the call has read, of keys as they are committed
}

// own is a key that the call has written.
type own struct{ value []byte }

// find returns the value that the call has given a key, nil if it has not written it.
func (b *buffer) find(key string) *own {
	i, ok := b.last[key]
	if !ok {
		return nil
	}
	return &own{b.values[i]}
}

// saw remembers the version of a committed key.
func (b *buffer) saw(key string, version int64) {
	if len(b.versions) >= maxVersions {
		clear(b.versions)
	}
	if b.versions == nil {
		b.versions = map[string]int64{}
	}
	b.versions[key] = version
}

// maxVersions bounds the versions that are remembered. A forgotten one is read again.
const maxVersions = 1000

func (b *buffer) add(w store.Write, value []byte) {
	if b.last == nil {
		b.last = map[string]int{}
	}
	b.last[w.Key] = len(b.writes)
	b.writes = append(b.writes, w)
	b.values = append(b.values, value)
	b.bytes += len(w.Key) + len(w.Value)
}

// truncate drops the writes from index n on.
func (b *buffer) truncate(n int) {
	if n >= len(b.writes) {
		return
	}
	for i := n; i < len(b.writes); i++ {
		b.bytes -= len(b.writes[i].Key) + len(b.writes[i].Value)
	}
	clear(b.writes[n:])
	clear(b.values[n:])
	b.writes, b.values = b.writes[:n], b.values[:n]
	b.deferred = false
	clear(b.last)
	for i := range b.writes {
		b.last[b.writes[i].Key] = i
	}
}

// reset drops everything.
func (b *buffer) reset() {
	if len(b.writes) == 0 && len(b.versions) == 0 {
		return
	}
	*b = buffer{}
}

// keys returns the written keys from <= key < to, in order.
func (b *buffer) keys(from, to string) (keys []string) {
	for key := range b.last {
		if key >= from && key < to {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
