package spin_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hearthhost/hearth/internal/spin"
)

// wait simulates one wait for an event after d, and reports whether the spin found it.
func wait(s *spin.Spin, d time.Duration) bool {
	comes := time.Now().Add(d)
	for s.Start(); s.More(); {
		if !time.Now().Before(comes) {
			s.Found()
			return true
		}
		time.Sleep(time.Microsecond)
	}
	time.Sleep(time.Until(comes))
	s.Slept()
	return false
}

// TestSpinLooksOnlyWhereItPays simulates waits of one length. It counts the events that the spin found, and the time
// of spins without an event.
func TestSpinLooksOnlyWhereItPays(t *testing.T) {
	const waits = 1000 // each with about 50 system calls that yield
	for _, tc := range []struct {
		name        string
		every       time.Duration
		least, most int           // found by spinning
		vain        time.Duration // bound on the time of spins without an event
	}{
		{"at once", 50 * time.Microsecond, waits - 10, waits, 0},
		{"soon, but not soon enough", 200 * time.Microsecond, 0, 0, 10 * time.Millisecond},
		{"seldom", 10 * time.Millisecond, 0, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s spin.Spin
				found := 0
				var vain time.Duration
				for range waits {
					before := s.Polls()
					if wait(&s, tc.every) {
						found++
					} else if before {
						vain += min(tc.every, spin.MaxSpin)
					}
				}
				if found < tc.least || found > tc.most || vain > tc.vain {
					t.Errorf("found %d of %d by spinning, %s without an event; want %d to %d and at most %s",
						found, waits, vain, tc.least, tc.most, tc.vain)
				}
			})
		})
	}
}

// TestSpinStopsWhereOthersCompute simulates spins that sometimes yield the processor for milliseconds. Such stalls must
// stay rare, and spinning resumes when they are over.
func TestSpinStopsWhereOthersCompute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const stall, every = 4 * time.Millisecond, 50 * time.Microsecond
		var s spin.Spin
		looks, stalls := 0, 0
		round := func(hogs bool) (found bool) {
			comes := time.Now().Add(every)
			for s.Start(); s.More(); {
				if looks++; hogs && looks%20 == 0 {
					stalls++
					time.Sleep(stall)
					continue
				}
				if !time.Now().Before(comes) {
					s.Found()
					return true
				}
				time.Sleep(time.Microsecond)
			}
			time.Sleep(time.Until(comes))
			s.Slept()
			return false
		}
		for range 100 {
			round(false)
		}
		looks = 0
		begun := time.Now()
		for time.Since(begun) < time.Minute {
			round(true)
		}
		if lost := time.Duration(stalls) * stall; stalls == 0 || lost > time.Second {
			t.Errorf("%d stalls took %s of a minute", stalls, lost)
		}
		begun = time.Now()
		for !round(false) {
			if time.Since(begun) > time.Minute {
				t.Fatal("no spin a minute after the stalls")
			}
		}
		found := 0
		for range 1000 {
			if round(false) {
				found++
			}
		}
		if found < 990 {
			t.Errorf("afterwards spinning found %d of 1000", found)
		}
	})
}
