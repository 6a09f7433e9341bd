// Package backoff says when something that crashes may be started again.
package backoff

import "time"

// The pause after crashes in a row: none after the first, then doubling.
const (
	first = 100 * time.Millisecond
	last  = 30 * time.Second
)

// Rule says what becomes of what crashes again and again.
type Rule struct {
	Most       int           // crashes in a row; then it is set aside
	Quarantine time.Duration // for so long, and gets one more try
}

// State is what has happened so far. Its zero value is nothing. It is not safe for
// concurrent use.
type State struct {
	crashes int
	until   time.Time
	aside   bool
	cause   error
}

// Crashed notes a crash after so much time, or a start that failed. It reports whether that
// set it aside just now.
func (s *State) Crashed(r Rule, ran time.Duration, cause error) (aside bool) {
	if ran > last {
		s.crashes = 0 // it ran well for a while: no crash loop
	}
	s.crashes++
	s.cause, s.aside, s.until = cause, false, time.Time{}
	switch {
	case s.crashes >= r.Most:
		s.aside, s.until = true, time.Now().Add(r.Quarantine)
		s.crashes = r.Most - 1 // one more try after that time
		return true
	case s.crashes > 1:
		s.until = time.Now().Add(min(first<<min(s.crashes-2, 10), last))
	}
	return false
}

// Forgive forgets all: it is another thing now.
func (s *State) Forgive() { *s = State{} }

// Wait returns how long it may not be started yet, 0 if it may, and whether that is because
// it was set aside.
func (s *State) Wait() (wait time.Duration, aside bool) {
	wait = time.Until(s.until)
	if wait <= 0 {
		return 0, false
	}
	return wait, s.aside
}

// Crashes returns the number of crashes in a row.
func (s *State) Crashes() int { return s.crashes }

// Status is what a process is at.
type Status struct {
	PID         int           // 0: none is running
	Crashes     int           // in a row
	Wait        time.Duration // until it may be started again
	Quarantined bool          // since it crashed too often
	Cause       error         // of the last crash; nil: there was none
	Refused     error         // why its file is not started, which is no crash; nil: it is not refused
}

// Status returns what it is at, given its process.
func (s *State) Status(pid int) Status {
	out := Status{PID: pid, Crashes: s.crashes, Cause: s.cause}
	out.Wait, out.Quarantined = s.Wait()
	return out
}
