package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hearthhost/hearth/client"
)

// TestOneBudgetOfMemory: eight sessions of 60 MB each are more than their worker may hold. The largest are ended,
// which their next call reads, before the system ends the worker: everything else keeps its state.
func TestOneBudgetOfMemory(t *testing.T) {
	t.Run("at once", func(t *testing.T) { oneBudget(t, true) })
	t.Run("one after the other", func(t *testing.T) { oneBudget(t, false) })
}

const hoardPolicy = `
listener "unix" { address = "unix:hearth.sock" }
principal "me" { host_user = true }
tenant "acme" {
  limits {
    max_duration = "30s"
    steps = 60000000
  }
}
permit "me" {
  principals = ["me"]
  objects    = ["acme.*"]
}
`

const hoard = `
local H = hearth.object { instance = "session" }
function H.expose:fill(n)
  self.all = {}
  for i = 1, n do self.all[i] = ("x"):rep(2^20) .. i end
  return n
end
function H.expose:spin() while true do end end
function H.expose:count() return self.all and #self.all or -1 end
return H
`

const counter = `
local C = hearth.object { instance = "single" }
function C:init() self.n = 0 end
function C.expose:add(k) self.n = self.n + k; return self.n end
return C
`

func oneBudget(t *testing.T, atOnce bool) {
	t.Helper()
	h := startHostWith(t, hoardPolicy, func(dir string) {
		acme := filepath.Join(dir, "scripts", "acme")
		check(t, os.MkdirAll(acme, 0o755))
		check(t, os.WriteFile(filepath.Join(acme, "hoard.lua"), []byte(hoard), 0o644))
		check(t, os.WriteFile(filepath.Join(acme, "counter.lua"), []byte(counter), 0o644))
	})
	ctx := t.Context()
	c, err := client.New(client.Config{Address: "unix:" + h.unix})
	check(t, err)
	defer c.Close()
	if _, err := c.Object("acme.counter").Call(ctx, "add", 7); err != nil {
		t.Fatal(err)
	}
	sessions := make([]*client.Session, 9)
	for i := range sessions {
		s, err := c.Session(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		sessions[i] = s
	}
	first, err := c.Session(ctx) // its call is the oldest, and small
	check(t, err)
	defer first.Close()
	spun := make(chan error, 1)
	go func() {
		_, err := first.Object("acme.hoard").Call(ctx, "spin")
		spun <- err
	}()
	size := func(i int) int64 { return map[bool]int64{true: 1, false: 60}[i == 0] } // the first is small
	var all sync.WaitGroup
	for i, s := range sessions {
		all.Go(func() {
			if _, err := s.Object("acme.hoard").Call(ctx, "fill", size(i)); err != nil &&
				!strings.Contains(err.Error(), "the memory of the tenant's worker") {
				t.Errorf("session %d: %v", i, err)
			}
		})
		if !atOnce {
			all.Wait()
		}
	}
	all.Wait()
	ended, kept := 0, 0
	for i, s := range sessions {
		n, err := s.Object("acme.hoard").Call(ctx, "count")
		switch {
		case err == nil && n == size(i):
			kept++
		case err == nil && n == int64(-1): // its call read it
			ended++
		case err != nil && strings.Contains(err.Error(),
			"limit exceeded: the memory of the tenant's worker: an instance of acme.hoard held ") &&
			strings.HasSuffix(err.Error(), " MiB, the most of all, and was ended with its state; not executed"):
			ended++
		default:
			t.Errorf("session %d: %v, %v", i, n, err)
		}
		if i == 0 && (err != nil || n != int64(1)) {
			t.Errorf("the small session: %v, %v", n, err)
		}
		if err != nil { // reported once
			if n, err := s.Object("acme.hoard").Call(ctx, "count"); err != nil || n != int64(-1) {
				t.Errorf("session %d, anew: %v, %v", i, n, err)
			}
		}
	}
	if ended == 0 || kept < 2 {
		t.Errorf("%d sessions were ended and %d kept; three eighths of 512 MiB hold three of 60 MB", ended, kept)
	}
	if err := <-spun; err == nil || !strings.Contains(err.Error(), "steps; the call was executed in part") {
		t.Errorf("the oldest call, which holds little: %v, want it to end at its limit of steps", err)
	}
	if n, err := c.Object("acme.counter").Call(ctx, "add", 0); err != nil || n != int64(7) {
		t.Errorf("the counter: %v, %v; want 7", n, err)
	}
	log := h.log.String()
	if n := strings.Count(log, `msg="worker started" tenant=acme`); n != 1 {
		t.Errorf("%d workers were started, want 1", n)
	}
	lost := `msg="instance ended, its state is lost" tenant=acme object=acme.hoard why="limit exceeded: the memory`
	if n := strings.Count(log, lost); n != ended {
		t.Errorf("%d sessions were ended, the log names %d", ended, n)
	}
}
