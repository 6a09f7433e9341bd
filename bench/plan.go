package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// row is a load and a work, and those who are compared on it.
type row struct {
	load, work string
	cells      []cell
}

// cell is one subject on one row.
type cell struct {
	subject string
	run     func(ctx context.Context, d time.Duration) (*sample, error) // nil: not measured
	why     string                                                      // it is not measured
	host    *hearth                                                     // nil: it is not Hearth
	samples []*sample                                                   // one a round
}

// rounds measures all rows. The subjects of a row take turns, round after round and each
// time beginning with another one, so that what else the machine does hits all alike.
func (b *bench) rounds(ctx context.Context, rows []row) error {
	for i := range rows {
		r := &rows[i]
		if !b.wanted(r.load, r.work) {
			continue
		}
		for round := range b.cfg.rounds {
			for j := range r.cells {
				c := &r.cells[(round+j)%len(r.cells)]
				if c.run == nil {
					continue
				}
				s, err := c.run(ctx, b.cfg.each)
				if err != nil {
					return fmt.Errorf("%s, %s, %s: %w", r.load, r.work, c.subject, err)
				}
				if c.host != nil {
					c.host.messages += uint64(len(s.times)) // a batch is one record
				}
				c.samples = append(c.samples, s)
			}
		}
		b.tell("%s", r.text())
		b.rows = append(b.rows, *r)
	}
	return nil
}

// wanted says whether a row is among those that were asked for.
func (b *bench) wanted(load, work string) bool {
	return b.cfg.only == nil || b.cfg.only.MatchString(load+", "+work)
}

// perSecond is the median over the rounds; 0 if it was not measured.
func (c *cell) perSecond() float64 {
	return median(c.samples, (*sample).perSecond)
}

// quantile is the median over the rounds of each round's quantile.
func (c *cell) quantile(q float64) time.Duration {
	return time.Duration(median(c.samples, func(s *sample) float64 { return float64(s.quantile(q)) }))
}

// ratio is how many times the calls of other this subject answers: the median of the
// ratios of each round, in which both ran one soon after the other. 0 if there is none.
func (c *cell) ratio(other *cell) float64 {
	if other == nil || len(other.samples) != len(c.samples) {
		return 0
	}
	ratios := make([]float64, len(c.samples))
	for i := range ratios {
		ratios[i] = c.samples[i].perSecond() / other.samples[i].perSecond()
	}
	return median(ratios, func(r float64) float64 { return r })
}

// cell finds a subject; nil if it is not there.
func (r *row) cell(subject string) *cell {
	for i := range r.cells {
		if r.cells[i].subject == subject {
			return &r.cells[i]
		}
	}
	return nil
}

func median[T any](all []T, of func(T) float64) float64 {
	if len(all) == 0 {
		return 0
	}
	values := make([]float64, 0, len(all))
	for _, one := range all {
		values = append(values, of(one))
	}
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}
