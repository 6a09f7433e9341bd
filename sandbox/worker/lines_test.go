package worker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hearthhost/hearth/object"
)

// TestLines: a second's lines pass and no others, and how many did not is told.
func TestLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := map[object.ID][]uint64{}
		l := lines{tell: func(id object.ID, n uint64) { told[id] = append(told[id], n) }}
		log := func(id object.ID, n int) (passed int) {
			for range n {
				if l.pass(id, time.Now()) {
					passed++
				}
			}
			return passed
		}
		l.allow("acme.o", 3)
		l.allow("acme.p", 1)
		if n := log("acme.unknown", 5); n != 5 {
			t.Errorf("%d lines of an object without a limit pass, want 5", n)
		}
		if n := log("acme.o", 10); n != 3 {
			t.Errorf("%d lines pass, want 3", n)
		}
		if n := log("acme.p", 1); n != 1 {
			t.Error("another object's line is left out")
		}
		if len(told) != 0 {
			t.Errorf("told at once: %v", told)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if len(told) != 1 || len(told["acme.o"]) != 1 || told["acme.o"][0] != 7 {
			t.Errorf("told %v, want 7 of acme.o", told)
		}
		l.allow("acme.o", 2) // a new version
		if n := log("acme.o", 10); n != 2 {
			t.Errorf("%d lines pass in a later second, want 2", n)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if len(told["acme.o"]) != 2 || told["acme.o"][1] != 8 {
			t.Errorf("told %v, want 7 and 8", told)
		}
	})
}
