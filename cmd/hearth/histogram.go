package main

import (
	"math/bits"
	"time"
)

// histogram counts durations in buckets whose width grows with the duration: 32 a power
// of two, so that a quantile is right to within 4 % whatever the range, in constant
// memory. The zero value is empty.
type histogram struct {
	n      uint64
	counts [64 << bucketBits]uint64
}

const bucketBits = 5

// add counts one duration.
func (h *histogram) add(d time.Duration) {
	h.n++
	h.counts[bucket(uint64(max(d, 0)))]++
}

// merge counts what o counted, too.
func (h *histogram) merge(o *histogram) {
	h.n += o.n
	for i, c := range o.counts {
		h.counts[i] += c
	}
}

// quantile returns a duration that the share q of all durations, 0 to 1, does not
// exceed. It is 0 if nothing was counted.
func (h *histogram) quantile(q float64) time.Duration {
	var seen uint64
	want := uint64(q * float64(h.n))
	for i, c := range h.counts {
		if seen += c; c > 0 && seen >= want {
			return upper(i)
		}
	}
	return 0
}

// bucket is the number of ns's bucket: small values have one each, larger ones are told
// apart by their exponent and the bits after the leading one.
func bucket(ns uint64) int {
	if ns < 1<<bucketBits {
		return int(ns)
	}
	exp := bits.Len64(ns) - 1 - bucketBits
	return (exp+1)<<bucketBits | int(ns>>exp)&(1<<bucketBits-1)
}

// upper is the longest duration of a bucket.
func upper(i int) time.Duration {
	if i < 1<<bucketBits {
		return time.Duration(i)
	}
	exp := i>>bucketBits - 1
	base := uint64(1<<bucketBits|i&(1<<bucketBits-1)) << exp
	return time.Duration(base + 1<<exp - 1)
}
