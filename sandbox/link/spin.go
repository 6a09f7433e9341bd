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
// Each wait is: Start, then look while More says so; then either Found, or sleep until
// it comes and Slept. The zero value is ready. Not safe for concurrent use.
type Spin struct {
	from    time.Time // when the wait began
	score   int       // how well looking does; waits begin with it while it is above 0
	credit  int       // short sleeps since it last was
	backoff int       // it takes 1<<backoff of those to try again
}

const (
	maxSpin  = 150 * time.Microsecond // how long to look
	maxSleep = 300 * time.Microsecond // a sleep, its waking included, that looking might have spared

	firstScore = 8
	vainScore  = 4 // what a vain look costs
	maxScore   = 32
	maxBackoff = 10
)

// Start begins a wait.
func (s *Spin) Start() { s.from = time.Now() }

// More reports whether to look once more. It lets other threads run first.
func (s *Spin) More() bool {
	if s.score <= 0 || time.Since(s.from) > maxSpin {
		return false
	}
	nonblock.Yield()
	return true
}

// Found says that it came while we looked.
func (s *Spin) Found() {
	if s.score = min(s.score+1, maxScore); s.score == maxScore {
		s.backoff = 0
	}
}

// Slept says that it came after a sleep.
func (s *Spin) Slept() {
	if s.score > 0 {
		if s.score -= vainScore; s.score <= 0 {
			s.credit, s.backoff = 0, min(s.backoff+1, maxBackoff)
		}
		return
	}
	if time.Since(s.from) > maxSleep {
		s.credit = 0
		return
	}
	if s.credit++; s.credit >= 1<<s.backoff {
		s.score = firstScore
	}
}
