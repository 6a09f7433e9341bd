package dispatch

import (
	"slices"
	"sync"

	"github.com/hearthhost/hearth/object"
)

// waitGraph tracks calls between objects with one instance, to detect deadlocks. The zero value is empty; it is safe for
// concurrent use.
type waitGraph struct {
	mu      sync.Mutex                  // guards running
	running map[object.ID][]*objectWait // running calls by the objects that they hold
}

// objectWait is a running call from one object to another.
type objectWait struct {
	holds []object.ID // objects that answer no other call until this one returns, each once
	on    object.ID   // the called object
}

// begin adds a call, whose chain ends with the calling object. It returns an error if the called object waits, directly
// or through others, for an object that this call holds.
func (ws *waitGraph) begin(call *object.Call, exclusive bool) (*objectWait, error) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	w := &objectWait{on: call.ID}
	for i, id := range call.Chain {
		// An object before the last is held if its own call is in the graph.
		held := i == len(call.Chain)-1 && exclusive || len(ws.running[id]) > 0
		if held && !slices.Contains(w.holds, id) {
			w.holds = append(w.holds, id)
		}
	}
	// The worker rejects a call back into its own chain, with a better error.
	if through, ok := ws.leads(w.on, w.holds, map[object.ID]bool{}); ok && !slices.Contains(w.holds, w.on) {
		return nil, object.Errorf(object.CodeInvalid, "deadlock: %s waits for a call of %s, which would wait for it; not executed", w.on, through)
	}
	if ws.running == nil {
		ws.running = map[object.ID][]*objectWait{}
	}
	for _, id := range w.holds {
		ws.running[id] = append(ws.running[id], w)
	}
	return w, nil
}

// leads reports whether an object waits for one of the objects in to, and for which. It visits each object once: the
// number of paths can be exponential.
func (ws *waitGraph) leads(from object.ID, to []object.ID, seen map[object.ID]bool) (object.ID, bool) {
	if seen[from] {
		return "", false
	}
	seen[from] = true
	for _, o := range ws.running[from] {
		if slices.Contains(to, o.on) {
			return o.on, true
		}
		if through, ok := ws.leads(o.on, to, seen); ok {
			return through, true
		}
	}
	return "", false
}

// end removes a call.
func (ws *waitGraph) end(w *objectWait) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, id := range w.holds {
		left := slices.DeleteFunc(ws.running[id], func(o *objectWait) bool { return o == w })
		if ws.running[id] = left; len(left) == 0 {
			delete(ws.running, id)
		}
	}
}
