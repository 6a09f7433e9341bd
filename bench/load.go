package main

import (
	"context"
	"slices"
	"sync"
	"time"
)

// sample is what one measurement of one subject gave.
type sample struct {
	calls   int             // answered, each of a batch counted
	elapsed time.Duration   // from the first call's begin to the last one's end
	times   []time.Duration // of each call, or each batch, in order once sorted
}

// perSecond is the rate of calls.
func (s *sample) perSecond() float64 { return float64(s.calls) / s.elapsed.Seconds() }

// quantile is the time that the share q of the calls, 0 to 1, did not exceed.
func (s *sample) quantile(q float64) time.Duration {
	if len(s.times) == 0 {
		return 0
	}
	return s.times[min(int(q*float64(len(s.times))), len(s.times)-1)]
}

// measure has every caller call for a time, all at once, each one call (or batch of so many,
// if that is more than 1) after the other, and at least one. The first error ends it.
// Callers warm up with a call that is not counted.
func measure(ctx context.Context, callers []caller, w *work, batch int, d time.Duration) (*sample, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		mu    sync.Mutex // guards s
		s     sample
		ready sync.WaitGroup
		done  sync.WaitGroup
		begin = make(chan struct{})
		end   time.Time // written before begin is closed
	)
	one := func(ctx context.Context, c caller) error {
		if batch > 1 {
			return c.batch(ctx, w, batch)
		}
		return c.call(ctx, w)
	}
	ready.Add(len(callers))
	for _, c := range callers {
		done.Go(func() {
			ctx, stop := context.WithCancel(ctx) // of its own, or callers wait for each other at its lock
			defer stop()
			err := one(ctx, c)
			ready.Done()
			if err != nil {
				cancel(err)
				return
			}
			<-begin
			times := make([]time.Duration, 0, 1024)
			for last := time.Now(); ctx.Err() == nil; {
				if err := one(ctx, c); err != nil {
					cancel(err)
					return
				}
				now := time.Now()
				times = append(times, now.Sub(last))
				if last = now; !now.Before(end) {
					break
				}
			}
			mu.Lock()
			defer mu.Unlock()
			s.calls += len(times) * batch
			s.times = append(s.times, times...)
		})
	}
	ready.Wait()
	start := time.Now()
	end = start.Add(d)
	close(begin)
	done.Wait()
	s.elapsed = time.Since(start)
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	slices.Sort(s.times)
	return &s, nil
}

// dialAll opens n callers. On an error those already open are closed.
func dialAll(ctx context.Context, n int, dial func(context.Context) (caller, error)) ([]caller, error) {
	callers := make([]caller, 0, n)
	for range n {
		c, err := dial(ctx)
		if err != nil {
			closeAll(callers)
			return nil, err
		}
		callers = append(callers, c)
	}
	return callers, nil
}

func closeAll(callers []caller) {
	for _, c := range callers {
		c.close()
	}
}
