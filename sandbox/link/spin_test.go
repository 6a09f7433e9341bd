package link_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hearthhost/hearth/sandbox/link"
)

// wait plays one wait for something that comes after d, and reports whether it was found
// by looking.
func wait(s *link.Spin, d time.Duration) bool {
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

// TestSpinLooksOnlyWhereItPays plays waits of one length and counts those that looking
// met and the time that it took in vain.
func TestSpinLooksOnlyWhereItPays(t *testing.T) {
	const waits = 1000 // each some 50 system calls that give the processor away
	for _, tc := range []struct {
		name        string
		every       time.Duration
		least, most int           // found by looking
		vain        time.Duration // at most, in all
	}{
		{"at once", 50 * time.Microsecond, waits - 10, waits, 0},
		{"soon, but not soon enough", 200 * time.Microsecond, 0, 0, 10 * time.Millisecond},
		{"seldom", 10 * time.Millisecond, 0, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s link.Spin
				found := 0
				var vain time.Duration
				for range waits {
					before := s.Looking()
					if wait(&s, tc.every) {
						found++
					} else if before {
						vain += min(tc.every, link.MaxSpin)
					}
				}
				if found < tc.least || found > tc.most || vain > tc.vain {
					t.Errorf("found %d of %d by looking, %s in vain; want %d to %d and at most %s",
						found, waits, vain, tc.least, tc.most, tc.vain)
				}
			})
		})
	}
}

// TestSpinStopsWhereOthersCompute plays waits in which looking now and then gives the
// processor away for long: that must stay seldom, and be forgotten when it is over.
func TestSpinStopsWhereOthersCompute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const stall, every = 4 * time.Millisecond, 50 * time.Microsecond
		var s link.Spin
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
				t.Fatal("a minute later nobody looks yet")
			}
		}
		found := 0
		for range 1000 {
			if round(false) {
				found++
			}
		}
		if found < 990 {
			t.Errorf("afterwards looking found %d of 1000", found)
		}
	})
}
