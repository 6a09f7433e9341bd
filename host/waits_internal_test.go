package host

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/object"
)

// TestWaitsOfManyWays: from one object to another there may be 2^n ways over n objects, as each call of a chain holds
// all objects before it. The search for a deadlock looks at each object once: it holds up every call between objects.
func TestWaitsOfManyWays(t *testing.T) {
	t.Parallel()
	const chains = 8
	id := func(chain, at int) object.ID { return object.ID(fmt.Sprintf("acme.o%d_%d", chain, at)) }
	var ws waits
	var all []*wait
	begin := func(on object.ID, chain ...object.ID) error {
		w, err := ws.begin(&object.Call{ID: on, Chain: slices.Clone(chain)}, true)
		if err == nil {
			all = append(all, w)
		}
		return err
	}
	done := make(chan error)
	go func() {
		for c := range chains { // the last object of each calls the first one of the chain before
			for at := range maxCallDepth {
				on := id(c, at+1)
				if at == maxCallDepth-1 {
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
		t.Fatal("the search takes every way")
	}
	last := id(-1, 0)
	if err := begin(id(chains-1, 0), last); err == nil || !strings.Contains(err.Error(), "would wait for it") {
		t.Errorf("a call that closes a circle over all chains: %v", err)
	}
	if len(ws.by) != chains*maxCallDepth+1 {
		t.Errorf("%d objects are held", len(ws.by))
	}
	for _, w := range all {
		ws.end(w)
	}
	if len(ws.by) != 0 {
		t.Errorf("%d objects are held after the end of all calls", len(ws.by))
	}
	if err := begin(id(chains-1, 0), last); err != nil {
		t.Errorf("after the end of all others: %v", err)
	}
}
