package dispatch

import (
	"slices"
	"sync"

	"github.com/hearthhost/hearth/object"
)

// waitGraph tracks calls between objects with one instance, to detect deadlocks. The zero value is empty; it is safe
// for concurrent use.
type waitGraph struct {
	mu      sync.Mutex                  // guards running
	running map[object.ID][]*objectWait // running calls by the objects that they hold
}

// objectWait is a running call from one object to another.
type objectWait struct {
	holds  []object.ID // objects that run no other call until this one returns, without duplicates
	callee object.ID   // called object
}

// begin adds a call, whose chain ends with the calling object. It returns an error if the called object waits, directly
// or through others, for an object that this call holds.
func (ws *waitGraph) begin(call *object.Call, exclusive bool) (*objectWait, error) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	w := &objectWait{callee: call.ID}
	for i, id := range call.Chain {
		// An object before the last is held if its own call is in the graph.
		held := i == len(call.Chain)-1 && exclusive || len(ws.running[id]) > 0
		if held && !slices.Contains(w.holds, id) {
			w.holds = append(w.holds, id)
		}
	}
	// The worker rejects a call back into its own chain, with a better error.
	through, cycle := ws.findPath(w.callee, w.holds, map[object.ID]bool{})
	if cycle && !slices.Contains(w.holds, w.callee) {
		return nil, object.Errorf(object.CodeInvalid,
			"deadlock: %s waits for a call of %s, which would wait for it; not executed", w.callee, through)
	}
	if ws.running == nil {
		ws.running = map[object.ID][]*objectWait{}
	}
	for _, id := range w.holds {
		ws.running[id] = append(ws.running[id], w)
	}
	return w, nil
}

// findPath returns the first object of targets for which an object waits, directly or through others. It visits each
// object once: the number of paths can be exponential.
func (ws *waitGraph) findPath(from object.ID, targets []object.ID, visited map[object.ID]bool) (object.ID, bool) {
	if visited[from] {
		return "", false
	}
	visited[from] = true
	for _, o := range ws.running[from] {
		if slices.Contains(targets, o.callee) {
			return o.callee, true
		}
		if through, ok := ws.findPath(o.callee, targets, visited); ok {
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
		ws.running[id] = left
		if len(left) == 0 {
			delete(ws.running, id)
		}
	}
}
