package inflight_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/hearthhost/hearth/internal/inflight"
)

func wantFull(t *testing.T, err error, account string, limit int64) {
	t.Helper()
	full := new(inflight.Full)
	if !errors.As(err, &full) || full.Account != account || full.Limit != limit {
		t.Errorf("error = %v, want that %s has a limit of %d", err, account, limit)
	}
}

func TestLimits(t *testing.T) {
	host := inflight.New("the host", 1000)
	alice := host.Child("principal alice", 300)
	if err := errors.Join(alice.Acquire(200), alice.Acquire(100)); err != nil {
		t.Fatal(err)
	}
	err := alice.Acquire(1)
	wantFull(t, err, "principal alice", 300)
	if got, want := err.Error(), "too many bytes in flight of principal alice: limit 300 bytes"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	alice.Release(100)
	if err := alice.Acquire(100); err != nil {
		t.Error("after a release:", err)
	}
	alice.SetLimit(400)
	if err := alice.Acquire(100); err != nil {
		t.Error("with a higher limit:", err)
	}
	alice.Release(400)
	if alice.Used() != 0 || host.Used() != 0 {
		t.Errorf("%d and %d are held in the end", alice.Used(), host.Used())
	}
	// A single item may be larger than the limit.
	if err := alice.Acquire(900); err != nil {
		t.Error(err)
	}
	wantFull(t, alice.Acquire(1), "principal alice", 100)
	wantFull(t, host.Child("principal bob", 300).Acquire(101), "the host", 1000)
}

// TestOthersFindRoom: a child that acquires all it can leaves as many bytes to the others.
func TestOthersFindRoom(t *testing.T) {
	const total = 1 << 20
	host := inflight.New("the host", total)
	for k := range 8 {
		greedy := host.Child("greedy", total)
		for greedy.Acquire(64) == nil {
		}
		for greedy.Acquire(1) == nil {
		}
		left := total - host.Used()
		if greedy.Used() > left+1 || left < total>>(k+1) {
			t.Errorf("number %d holds %d and leaves %d", k+1, greedy.Used(), left)
		}
	}
	if err := host.Child("principal bob", total).Acquire(1); err != nil {
		t.Errorf("the ninth: %v", err)
	}
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := inflight.New("the host", 1000)
		alice, bob := host.Child("principal alice", 100), host.Child("principal bob", 100)
		if err := errors.Join(alice.Acquire(100), bob.Acquire(100)); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var done []int
		order := func() []int { mu.Lock(); defer mu.Unlock(); return slices.Clone(done) }
		wait := func(a *inflight.Account, n, name int) {
			go func() {
				if err := a.Wait(t.Context(), n); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				done = append(done, name)
			}()
			synctest.Wait()
		}
		wait(alice, 60, 1)
		wait(alice, 10, 2) // behind the first, although it would have room earlier
		wait(bob, 10, 3)
		alice.Release(30)
		synctest.Wait()
		if len(order()) != 0 {
			t.Errorf("%v went ahead", order())
		}
		bob.Release(10)
		synctest.Wait()
		alice.Release(30)
		synctest.Wait()
		if !slices.Equal(order(), []int{3, 1}) {
			t.Errorf("%v, want 3, 1", order())
		}
		alice.Release(10)
		synctest.Wait()
		if len(order()) != 3 {
			t.Errorf("%v, want all", order())
		}
		// When a waiter gives up, the waiters behind it are served.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		late := make(chan error, 1)
		go func() { late <- alice.Wait(ctx, 50) }()
		synctest.Wait()
		wait(alice, 5, 4)
		alice.Release(10)
		synctest.Wait()
		if len(order()) != 3 {
			t.Errorf("%v: it did not wait for the one before it", order())
		}
		wantFull(t, <-late, "principal alice", 100)
		synctest.Wait()
		if len(order()) != 4 {
			t.Errorf("%v: those behind one that gave up are stuck", order())
		}
	})
}

// TestModel compares accounts with a list of their items.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const total = 1000
		host := inflight.New("the host", total)
		names := []string{"a", "b", "c"}
		accounts, limits := map[string]*inflight.Account{}, map[string]int{}
		held := map[string][]int{}
		for _, name := range names {
			limits[name] = rapid.IntRange(1, 1200).Draw(t, "limit")
			accounts[name] = host.Child(name, int64(limits[name]))
		}
		sum := func(name string) (n int) {
			for _, v := range held[name] {
				n += v
			}
			return n
		}
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			name := rapid.SampledFrom(names).Draw(t, "account")
			if rapid.Bool().Draw(t, "release") && len(held[name]) > 0 {
				accounts[name].Release(held[name][0])
				held[name] = held[name][1:]
			} else {
				n := rapid.IntRange(0, 400).Draw(t, "n")
				own, all := sum(name), sum("a")+sum("b")+sum("c")
				fits := n == 0 || all+n <= total && (own == 0 || own+n <= limits[name] && own+n <= total-all)
				if err := accounts[name].Acquire(n); (err == nil) != fits {
					t.Fatalf("Acquire(%d) with %d of %d, %d in all: %v", n, own, limits[name], all, err)
				} else if err == nil {
					held[name] = append(held[name], n)
				}
			}
			if got := accounts[name].Used(); got != int64(sum(name)) {
				t.Fatalf("%s holds %d, want %d", name, got, sum(name))
			}
		}
		for _, name := range names {
			accounts[name].Release(sum(name))
		}
		if host.Used() != 0 {
			t.Fatalf("%d are held in the end", host.Used())
		}
	})
}

// TestConcurrent acquires, waits and releases concurrently: no byte is granted twice, and every waiter ends.
func TestConcurrent(t *testing.T) {
	const total = 10_000
	host := inflight.New("the host", total)
	var held atomic.Int64
	var all sync.WaitGroup
	for i := range 8 {
		a := host.Child("child", 4000)
		for range 4 {
			all.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), 1))
				for range 2000 {
					n := 1 + r.IntN(3000)
					if r.IntN(2) == 0 {
						if a.Acquire(n) != nil {
							continue
						}
					} else if err := a.Wait(t.Context(), n); err != nil {
						t.Error(err)
						continue
					}
					if held.Add(int64(n)) > total {
						t.Error("more is held than there is")
					}
					held.Add(-int64(n))
					a.Release(n)
				}
			})
		}
	}
	all.Wait()
	if host.Used() != 0 {
		t.Errorf("%d are held in the end", host.Used())
	}
}

func TestAllocations(t *testing.T) {
	a := inflight.New("the host", 1000).Child("principal alice", 300)
	if n := testing.AllocsPerRun(100, func() {
		if a.Acquire(200) == nil {
			a.Release(200)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAcquireRelease(b *testing.B) {
	a := inflight.New("the host", 1000).Child("principal alice", 300)
	for b.Loop() {
		if a.Acquire(200) == nil {
			a.Release(200)
		}
	}
}
