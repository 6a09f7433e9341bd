// Package backoff delays the restart of a process that crashes, and quarantines one that crashes repeatedly.
package backoff

import "time"

// The delay after consecutive crashes: 0 after the first one, then minDelay, doubled each time up to maxDelay.
const (
	minDelay = 100 * time.Millisecond
	maxDelay = 30 * time.Second
)

// Rule is the limit of consecutive crashes.
type Rule struct {
	MaxCrashes int           // consecutive crashes that lead to quarantine
	Quarantine time.Duration // time without a start; afterwards one crash leads to quarantine again
}

// State counts the crashes of a process. The zero value is a process without crashes. Not safe for concurrent use.
type State struct {
	crashes     int
	until       time.Time // no start before
	quarantined bool
	cause       error
}

// Crashed records a crash after a run time, or a failed start. It reports whether the process is now quarantined.
func (s *State) Crashed(r Rule, ran time.Duration, cause error) (quarantined bool) {
	if ran > maxDelay { // a run of this length ends a crash loop
		s.crashes = 0
	}
	s.crashes++
	s.cause = cause
	s.quarantined = s.crashes >= r.MaxCrashes
	s.until = time.Time{}
	switch {
	case s.quarantined:
		s.until = time.Now().Add(r.Quarantine)
		s.crashes = r.MaxCrashes - 1 // one attempt after the quarantine
	case s.crashes > 1:
		s.until = time.Now().Add(min(minDelay<<min(s.crashes-2, 10), maxDelay))
	}
	return s.quarantined
}

// Reset forgets all crashes, for example after the program was replaced.
func (s *State) Reset() { *s = State{} }

// Wait returns the time until the next start, 0 for a start now, and whether the process is quarantined.
func (s *State) Wait() (wait time.Duration, quarantined bool) {
	wait = time.Until(s.until)
	if wait <= 0 {
		return 0, false
	}
	return wait, s.quarantined
}

// Crashes returns the number of consecutive crashes.
func (s *State) Crashes() int { return s.crashes }

// Status describes a process that is restarted after crashes.
type Status struct {
	PID         int           // 0 if it does not run
	Crashes     int           // consecutive crashes
	Wait        time.Duration // time until the next start
	Quarantined bool          // it crashed too often
	Cause       error         // cause of the last crash; nil without one
	Refused     error         // reason why its file is not started, which is no crash; nil if it is
}

// Status returns the status of a process, given its PID.
func (s *State) Status(pid int) Status {
	out := Status{PID: pid, Crashes: s.crashes, Cause: s.cause}
	out.Wait, out.Quarantined = s.Wait()
	return out
}
