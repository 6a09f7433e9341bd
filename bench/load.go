package main

import (
	"context"
	"slices"
	"sync"
	"time"
)

// sample is the result of one measurement of one subject.
type sample struct {
	calls   int             // answered calls, including each call of a batch
	elapsed time.Duration   // from the begin of the first call to the end of the last one
	times   []time.Duration // duration of each call or batch, sorted
	cost    cost            // processor time of the measurement
}

// perSecond returns the rate of calls.
func (s *sample) perSecond() float64 { return float64(s.calls) / s.elapsed.Seconds() }

// quantile returns the time that the share q of the calls, 0 to 1, did not exceed.
func (s *sample) quantile(q float64) time.Duration {
	if len(s.times) == 0 {
		return 0
	}
	return s.times[min(int(q*float64(len(s.times))), len(s.times)-1)]
}

// measure runs all callers concurrently for a time. Each makes calls, or batches of batch calls if batch is more than
// 1, one after another and at least one. The first error ends the measurement. Each caller warms up with one
// uncounted call. The meter may be nil.
func measure(
	ctx context.Context, callers []caller, w *work, batch int, d time.Duration, m *meter,
) (*sample, error) {
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
			ctx, stop := context.WithCancel(ctx) // per caller, otherwise all callers contend for its lock
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
				last = now
				if !now.Before(end) {
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
	m.begin()
	start := time.Now()
	end = start.Add(d)
	close(begin)
	done.Wait()
	s.elapsed = time.Since(start)
	s.cost = m.end()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	slices.Sort(s.times)
	return &s, nil
}

// dialAll opens n callers. On an error it closes the open ones.
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
