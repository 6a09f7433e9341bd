package dispatch

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/object"
)

// TestWaitGraphVisitsEachObjectOnce: the number of paths from one object to another may be 2^n for n objects, as each
// call of a chain holds all objects before it. The search for a deadlock delays every call between objects.
func TestWaitGraphVisitsEachObjectOnce(t *testing.T) {
	t.Parallel()
	const chains = 8
	id := func(chain, position int) object.ID { return object.ID(fmt.Sprintf("acme.o%d_%d", chain, position)) }
	var ws waitGraph
	var all []*objectWait
	begin := func(callee object.ID, chain ...object.ID) error {
		w, err := ws.begin(&object.Call{ID: callee, Chain: slices.Clone(chain)}, true)
		if err == nil {
			all = append(all, w)
		}
		return err
	}
	done := make(chan error)
	go func() {
		for c := range chains { // the last object of each calls the first one of the chain before
			for at := range MaxCallDepth {
				on := id(c, at+1)
				if at == MaxCallDepth-1 {
					on = id(c-1, 0)
				}
				var chain []object.ID
				for before := range at + 1 {
					chain = append(chain, id(c, before))
				}
				if err := begin(on, chain...); err != nil {
					done <- err
				}
			}
		}
		done <- begin(id(chains-1, 0), "acme.other")
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the search takes every path")
	}
	last := id(-1, 0)
	if err := begin(id(chains-1, 0), last); err == nil || !strings.Contains(err.Error(), "would wait for it") {
		t.Errorf("a call that closes a circle over all chains: %v", err)
	}
	if len(ws.running) != chains*MaxCallDepth+1 {
		t.Errorf("%d objects are held", len(ws.running))
	}
	for _, w := range all {
		ws.end(w)
	}
	if len(ws.running) != 0 {
		t.Errorf("%d objects are held after the end of all calls", len(ws.running))
	}
	if err := begin(id(chains-1, 0), last); err != nil {
		t.Errorf("after the end of all others: %v", err)
	}
}
