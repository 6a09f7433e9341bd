package link

import (
	"time"

	"github.com/hearthhost/hearth/internal/nonblock"
)

// Spin decides whether to look for something again and again before sleeping until it
// comes. To be woken takes tens of microseconds; if what is waited for usually takes no
// longer, looking is the faster way, and costs about what sleeping and waking would. If
// looking proves vain it is tried again, but ever more seldom.
//
// Who looks lets other threads go first. Where those compute, they keep the processor for
// milliseconds, while a thread that sleeps and is woken goes before them: so after such a
// stall nobody looks for a while, longer with each.
//
// Each wait is: Start, then look while More says so; then either Found, or sleep until
// it comes and Slept. The zero value is ready. Not safe for concurrent use.
type Spin struct {
	started     time.Time // when the wait began
	score       int       // how well looking does; waits begin with it while it is above 0
	credit      int       // short sleeps since it last was
	backoff     int       // it takes 1<<backoff of those to try again
	stalls      int       // lately
	pausedUntil time.Time // nobody looks before that
	disabled    bool      // this wait is one without looking
}

const (
	maxSpin  = 150 * time.Microsecond // how long to look
	maxSleep = 300 * time.Microsecond // a sleep, its waking included, that looking might have spared

	firstScore = 8
	missCost   = 4 // what a vain look costs
	maxScore   = 32
	maxBackoff = 10

	stallTime = time.Millisecond
	stallOff  = 10 * time.Millisecond // after the first stall; twice as long after each more
	maxStalls = 9
)

// Start begins a wait.
func (s *Spin) Start() {
	s.started = time.Now()
	s.disabled = s.started.Before(s.pausedUntil)
}

// More reports whether to look once more. It lets other threads run first.
func (s *Spin) More() bool {
	if s.score <= 0 || s.disabled {
		return false
	}
	nonblock.Yield()
	looked := time.Since(s.started)
	if looked > stallTime {
		s.stalled(s.started.Add(looked))
	}
	return looked <= maxSpin
}

// stalled keeps everybody from looking for a while. Stalls are forgotten one by one, in the
// time for which they would have.
func (s *Spin) stalled(now time.Time) {
	for well := now.Sub(s.pausedUntil); s.stalls > 0 && well > stallOff<<s.stalls; s.stalls-- {
		well -= stallOff << s.stalls
	}
	s.pausedUntil = now.Add(stallOff << s.stalls)
	s.stalls = min(s.stalls+1, maxStalls)
}

// Found says that it came while we looked.
func (s *Spin) Found() {
	if s.score = min(s.score+1, maxScore); s.score == maxScore {
		s.backoff = 0
	}
}

// Slept says that it came after a sleep.
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
