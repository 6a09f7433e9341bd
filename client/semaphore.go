package client

import (
	"slices"
	"sync"
)

// semaphore bounds concurrent users. Users that wait get their turns in order. Safe for concurrent use.
type semaphore struct {
	mu      sync.Mutex // guards the fields below
	free    int
	waiters []chan struct{} // each is closed at its turn
}

// enter starts a use. It returns nil if the use has started, else a channel that is closed at the caller's turn.
func (s *semaphore) enter() (turn chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free > 0 {
		s.free--
		return nil
	}
	turn = make(chan struct{})
	s.waiters = append(s.waiters, turn)
	return turn
}

// cancel ends the wait for a turn. A turn that has come meanwhile passes on.
func (s *semaphore) cancel(turn chan struct{}) {
	s.mu.Lock()
	i := slices.Index(s.waiters, turn)
	if i >= 0 {
		s.waiters = slices.Delete(s.waiters, i, i+1)
	}
	s.mu.Unlock()
	if i < 0 {
		s.leave()
	}
}

// leave ends a use.
func (s *semaphore) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiters) == 0 {
		s.free++
		return
	}
	close(s.waiters[0])
	s.waiters = slices.Delete(s.waiters, 0, 1)
}
