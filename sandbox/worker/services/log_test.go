package services

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hearthhost/hearth/object"
)

// TestLines logs more lines than the limit. The lines of a second pass up to the limit, and the number of the others
// is reported once a second.
func TestLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // guards reported
		reported := map[object.ID][]uint64{}
		l := lineLimiter{report: func(id object.ID, n uint64) {
			mu.Lock()
			defer mu.Unlock()
			reported[id] = append(reported[id], n)
		}}
		want := func(want ...uint64) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(reported["acme.o"], want) || len(reported) > 1 {
				t.Errorf("reported: %v, want %v of acme.o and nothing else", reported, want)
			}
		}
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
		want() // not at once
		time.Sleep(2 * time.Second)
		want(7)
		l.allow("acme.o", 2) // a new version
		if n := log("acme.o", 10); n != 2 {
			t.Errorf("%d lines pass in a later second, want 2", n)
		}
		time.Sleep(2 * time.Second)
		want(7, 8)
	})
}
