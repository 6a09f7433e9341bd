package link

import (
	"errors"
	"time"
)

// Running is a request that has begun and is not answered.
type Running struct {
	ID  uint64
	For time.Duration // time since its beginning, in whole microseconds
}

// PutRunning appends the fields of a [Pong] frame, at most [MaxRunning].
func (e *Encoder) PutRunning(all []Running) {
	all = all[:min(len(all), MaxRunning)]
	e.Uint(uint64(len(all)))
	for _, r := range all {
		e.Uint(r.ID)
		e.Uint(uint64(max(r.For, 0) / time.Microsecond))
	}
}

// errRunning is the error for a Pong frame with more requests than MaxRunning.
var errRunning = errors.New("link: a worker reports more running requests than it can have")

// RunningFields reads the fields of PutRunning and calls each with every request. Times are limited to one day.
func (d *Decoder) RunningFields(each func(Running)) {
	n := d.Count()
	if n > MaxRunning {
		d.Err = errRunning
		return
	}
	const day = uint64(24 * time.Hour / time.Microsecond)
	for range n {
		r := Running{ID: d.Uint()}
		r.For = time.Duration(min(d.Uint(), day)) * time.Microsecond
		if d.Err != nil {
			return
		}
		each(r)
	}
}
