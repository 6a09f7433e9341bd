package services

import (
	"context"
	"sync"

	"github.com/hearthhost/hearth/object"
)

// locks has a lock for each object whose calls overlap, with many shared holders or one alone. A holder that waits to
// be alone precedes later shared ones. The zero value is ready. Safe for concurrent use.
type locks struct {
	mu   sync.Mutex // guards the fields below and those of the locks
	byID map[object.ID]*lock
}

// lock is the lock of one object. It is removed when it has no users.
type lock struct {
	shared  int // number of shared holders
	alone   bool
	pending int           // holders that wait to be alone
	users   int           // holders and waiting ones
	changed chan struct{} // closed at the next change
}

// free reports whether the lock can be taken.
func (l *lock) free(shared bool) bool {
	if shared {
		return !l.alone && l.pending == 0
	}
	return !l.alone && l.shared == 0
}

// lock takes the lock of an object, or returns the error of ctx.
func (s *locks) lock(ctx context.Context, id object.ID, shared bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.byID[id]
	if l == nil {
		l = &lock{changed: make(chan struct{})}
		if s.byID == nil {
			s.byID = map[object.ID]*lock{}
		}
		s.byID[id] = l
	}
	l.users++
	if !shared {
		l.pending++
		defer func() { l.pending-- }()
	}
	for !l.free(shared) {
		changed := l.changed
		s.mu.Unlock()
		select {
		case <-changed:
			s.mu.Lock()
		case <-ctx.Done():
			s.mu.Lock()
			s.leave(id, l)
			return ctx.Err()
		}
	}
	if shared {
		l.shared++
	} else {
		l.alone = true
	}
	return nil
}

// unlock releases the lock of an object.
func (s *locks) unlock(id object.ID, shared bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.byID[id]
	if shared {
		l.shared--
	} else {
		l.alone = false
	}
	s.leave(id, l)
}

// leave ends a use of a lock and wakes those who wait. The caller holds mu.
func (s *locks) leave(id object.ID, l *lock) {
	l.users--
	if l.users == 0 {
		delete(s.byID, id)
	}
	close(l.changed)
	l.changed = make(chan struct{})
}
