package admin

import (
	"sync"
	"time"
)

// publicEvery is the maximum age of the metrics for every user of this machine. Their cost grows with the number of
// objects, so all requests of this time get the same text.
const publicEvery = time.Second

// publicMetrics caches the metrics of the loopback listener. The zero value is empty.
type publicMetrics struct {
	mu   sync.Mutex // guards the fields below
	made time.Time
	text []byte // never modified
}

// current returns the cached metrics, or those of make if the cached ones are too old.
func (p *publicMetrics) current(now time.Time, make func() []byte) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if age := now.Sub(p.made); p.text == nil || age < 0 || age >= publicEvery {
		p.text, p.made = make(), now
	}
	return p.text
}
