// Package spin decides whether to poll for an event before sleeping.
package spin

import (
	"time"

	"github.com/hearthhost/hearth/internal/nonblock"
)

// Spin decides whether to poll for an event before sleeping. Waking a thread takes tens of microseconds. If events
// usually come sooner, polling is faster and costs about as much processor time. After polls without an event, Spin
// retries polling after growing intervals.
//
// A poll yields to other threads. If those compute, they hold the processor for milliseconds, while a thread that
// sleeps is scheduled before them. So after such a stall Spin does not poll for a while, longer after each stall.
//
// A wait is: Start; poll while More returns true; then Found, or sleep until the event and Slept. The zero value is
// ready. Not safe for concurrent use.
type Spin struct {
	started     time.Time // beginning of the wait
	score       int       // success of polling; waits begin with polling while it is positive
	credit      int       // short sleeps since score was positive
	backoff     int       // 1<<backoff short sleeps make score positive again
	stalls      int       // number of recent stalls
	pausedUntil time.Time // no polling before this time
	disabled    bool      // this wait does not poll
}

const (
	maxSpin  = 150 * time.Microsecond // longest polling of a wait
	maxSleep = 300 * time.Microsecond // longest sleep that counts as short, waking included

	firstScore = 8
	missCost   = 4 // decrease of score by polling without an event
	maxScore   = 32
	maxBackoff = 10

	stallTime = time.Millisecond
	stallOff  = 10 * time.Millisecond // pause after the first stall, doubled by each further one
	maxStalls = 9
)

// Start begins a wait.
func (s *Spin) Start() {
	s.started = time.Now()
	s.disabled = s.started.Before(s.pausedUntil)
}

// Polls reports whether the next wait is likely to begin with polling.
func (s *Spin) Polls() bool { return s.score > 0 }

// More reports whether to poll once more. It yields to other threads first.
func (s *Spin) More() bool {
	if s.score <= 0 || s.disabled {
		return false
	}
	nonblock.Yield()
	waited := time.Since(s.started)
	if waited > stallTime {
		s.stalled(s.started.Add(waited))
	}
	return waited <= maxSpin
}

// stalled pauses polling after a stall. A former stall is forgotten after a time without stalls as long as its pause.
func (s *Spin) stalled(now time.Time) {
	for well := now.Sub(s.pausedUntil); s.stalls > 0 && well > stallOff<<s.stalls; s.stalls-- {
		well -= stallOff << s.stalls
	}
	s.pausedUntil = now.Add(stallOff << s.stalls)
	s.stalls = min(s.stalls+1, maxStalls)
}

// Found records that polling found the event.
func (s *Spin) Found() {
	if s.score = min(s.score+1, maxScore); s.score == maxScore {
		s.backoff = 0
	}
}

// Slept records that the event came after a sleep.
func (s *Spin) Slept() {
	if s.disabled {
		return
	}
	if s.score > 0 {
		if s.score -= missCost; s.score <= 0 {
			s.credit, s.backoff = 0, min(s.backoff+1, maxBackoff)
		}
		return
	}
	if time.Since(s.started) > maxSleep {
		s.credit = 0
		return
	}
	if s.credit++; s.credit >= 1<<s.backoff {
		s.score = firstScore
	}
}
