package host

import (
	"maps"
	"sync"

	"github.com/hearthhost/hearth/object"
)

// touched is the set of backends that may hold a session of a connection, each with an object of it that was
// called. The zero value is empty; it is safe for concurrent use.
type touched struct {
	mu sync.Mutex // guards what follows
	of map[object.Backend]object.ID
}

// add enters a backend.
func (t *touched) add(b object.Backend, id object.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.of[b]; ok {
		return
	}
	if t.of == nil {
		t.of = map[object.Backend]object.ID{}
	}
	t.of[b] = id
}

// keep removes the backends that a snapshot does not have any more.
func (t *touched) keep(snap *snapshot) {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.of, func(b object.Backend, id object.ID) bool { return !snap.uses(b, id) })
}

// all returns the backends.
func (t *touched) all() map[object.Backend]object.ID {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.of)
}
