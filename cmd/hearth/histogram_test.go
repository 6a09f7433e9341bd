package main

import (
	"math"
	"testing"
	"time"
)

func TestHistogramBuckets(t *testing.T) {
	t.Parallel()
	for _, ns := range []uint64{0, 1, 31, 32, 33, 63, 64, 1000, 1e6, 123456789, 1e12, math.MaxInt64} {
		i := bucket(ns)
		up := uint64(upper(i))
		if up < ns || float64(up) > float64(ns)*1.04+1 {
			t.Errorf("%d ns fall into bucket %d, which ends at %d", ns, i, up)
		}
		if ns > 0 && bucket(ns-1) > i {
			t.Errorf("bucket(%d) > bucket(%d)", ns-1, ns)
		}
	}
}

func TestHistogramQuantile(t *testing.T) {
	t.Parallel()
	var a, b histogram
	if got := a.quantile(0.5); got != 0 {
		t.Errorf("the median of nothing is %v, want 0", got)
	}
	for i := range 1000 {
		h := &a
		if i%2 == 0 {
			h = &b
		}
		h.add(time.Duration(i+1) * time.Microsecond)
	}
	a.merge(&b)
	for q, want := range map[float64]float64{0.5: 500, 0.9: 900, 0.99: 990, 1: 1000} {
		got := float64(a.quantile(q)) / 1000
		if got < want || got > want*1.04 {
			t.Errorf("quantile(%v) = %v µs, want %v to within 4 %%", q, got, want)
		}
	}
}
