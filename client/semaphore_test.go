package client

import "testing"

// come reports whether a turn has come.
func come(turn chan struct{}) bool {
	select {
	case <-turn:
		return true
	default:
		return false
	}
}

// TestSemaphoreOrder: users get their turns in the order in which they came.
func TestSemaphoreOrder(t *testing.T) {
	s := semaphore{free: 2}
	for range s.free {
		if s.enter() != nil {
			t.Fatal("a free semaphore lets its users wait")
		}
	}
	first, second, third := s.enter(), s.enter(), s.enter()
	if come(first) || come(second) {
		t.Fatal("a turn came without a free place")
	}
	s.leave()
	if !come(first) || come(second) {
		t.Error("the first turn did not come alone")
	}
	s.cancel(second)
	s.leave()
	if come(second) || !come(third) {
		t.Error("the turn of a canceled wait did not pass to the next one")
	}
	fourth := s.enter()
	s.leave() // the fourth turn comes
	s.cancel(fourth)
	s.leave()
	if s.free != 2 || len(s.waiters) != 0 {
		t.Errorf("%d places are free, want 2; %d wait", s.free, len(s.waiters))
	}
}
