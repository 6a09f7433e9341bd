package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// row is a load and a work with the compared subjects.
type row struct {
	load, work string
	cells      []cell
}

// cell is a subject of a row.
type cell struct {
	subject string
	run     func(ctx context.Context, d time.Duration) (*sample, error) // nil: not measured
	why     string                                                      // reason why it is not measured
	host    *hearth                                                     // nil for other servers
	samples []*sample                                                   // one per round
}

// rounds measures all rows. The subjects of a row take turns, and each round begins with another subject, so other load
// on the machine affects all subjects alike.
func (b *bench) rounds(ctx context.Context, rows []row) error {
	for i := range rows {
		r := &rows[i]
		if !b.selected(r.load, r.work) {
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
		b.logf("%s", r.text())
		b.rows = append(b.rows, *r)
	}
	return nil
}

// selected reports whether a row is selected by the configuration.
func (b *bench) selected(load, work string) bool {
	return b.cfg.only == nil || b.cfg.only.MatchString(load+", "+work)
}

// perSecond returns the median over the rounds; 0 if the cell was not measured.
func (c *cell) perSecond() float64 {
	return median(c.samples, (*sample).perSecond)
}

// quantile returns the median over the rounds of each round's quantile.
func (c *cell) quantile(q float64) time.Duration {
	return time.Duration(median(c.samples, func(s *sample) float64 { return float64(s.quantile(q)) }))
}

// ratio returns this subject's rate divided by the rate of other: the median over the rounds, in which both ran shortly
// after one another. It is 0 if one of them was not measured.
func (c *cell) ratio(other *cell) float64 { return middle(c.ratios(other)) }

// ratios returns the ratio of each round, nil if one of the subjects was not measured.
func (c *cell) ratios(other *cell) []float64 {
	if other == nil || len(other.samples) != len(c.samples) {
		return nil
	}
	ratios := make([]float64, len(c.samples))
	for i := range ratios {
		ratios[i] = c.samples[i].perSecond() / other.samples[i].perSecond()
	}
	return ratios
}

// cost returns the processor time of all rounds and the number of their calls.
func (c *cell) cost() (cost, int) {
	var sum cost
	calls := 0
	for _, s := range c.samples {
		sum = sum.add(s.cost)
		calls += s.calls
	}
	return sum, calls
}

// middle returns the median of numbers; 0 without numbers.
func middle(numbers []float64) float64 { return median(numbers, func(x float64) float64 { return x }) }

// cell returns a subject's cell, nil if the row has none.
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
