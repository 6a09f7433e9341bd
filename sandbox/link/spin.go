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
	from    time.Time // when the wait began
	score   int       // how well looking does; waits begin with it while it is above 0
	credit  int       // short sleeps since it last was
	backoff int       // it takes 1<<backoff of those to try again
	stalls  int       // lately
	until   time.Time // nobody looks before that
	off     bool      // this wait is one without looking
}

const (
	maxSpin  = 150 * time.Microsecond // how long to look
	maxSleep = 300 * time.Microsecond // a sleep, its waking included, that looking might have spared

	firstScore = 8
	vainScore  = 4 // what a vain look costs
	maxScore   = 32
	maxBackoff = 10

	stallTime = time.Millisecond
	stallOff  = 10 * time.Millisecond // after the first stall; twice as long after each more
	maxStalls = 9
)

// Start begins a wait.
func (s *Spin) Start() {
	s.from = time.Now()
	s.off = s.from.Before(s.until)
}

// More reports whether to look once more. It lets other threads run first.
func (s *Spin) More() bool {
	if s.score <= 0 || s.off {
		return false
	}
	nonblock.Yield()
	looked := time.Since(s.from)
	if looked > stallTime {
		s.stalled(s.from.Add(looked))
	}
	return looked <= maxSpin
}

// stalled keeps everybody from looking for a while. Stalls are forgotten one by one, in the
// time for which they would have.
func (s *Spin) stalled(now time.Time) {
	for well := now.Sub(s.until); s.stalls > 0 && well > stallOff<<s.stalls; s.stalls-- {
		well -= stallOff << s.stalls
	}
	s.until = now.Add(stallOff << s.stalls)
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
	if s.off {
		return
	}
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
