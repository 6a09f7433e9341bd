package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// round2 rounds a figure to two leading digits.
func round2(x float64) float64 {
	if x <= 0 {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(x))-1)
	return math.Round(x/unit) * unit
}

// thousands formats 31000 as "31,000".
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// figure formats a rate.
func figure(x float64) string {
	x = round2(x)
	if x < 10 {
		return strconv.FormatFloat(x, 'f', 1, 64)
	}
	return thousands(int(math.Round(x)))
}

// span formats two times in the unit of the larger one: "0.12 / 1.4 ms".
func span(p50, p99 time.Duration) string {
	unit, name := float64(time.Microsecond), "µs"
	if p99 >= time.Second {
		unit, name = float64(time.Second), "s"
	} else if p99 >= time.Millisecond {
		unit, name = float64(time.Millisecond), "ms"
	}
	digits := func(d time.Duration) string {
		return strconv.FormatFloat(float64(d)/unit, 'f', decimals(float64(d)/unit), 64)
	}
	return digits(p50) + " / " + digits(p99) + " " + name
}

// decimals returns the number of decimals for two significant digits.
func decimals(x float64) int {
	switch {
	case x >= 10 || x <= 0:
		return 0
	case x >= 1:
		return 1
	default:
		return 2
	}
}

// times formats a ratio: "0.45", "3.2", "12"; "–" without a ratio.
func times(x float64) string {
	x = round2(x)
	if x <= 0 {
		return "–"
	}
	return strconv.FormatFloat(x, 'f', decimals(x), 64)
}

// perCall formats the processor time of n calls as µs per call: "7.3 (3.1 + 4.2)".
func perCall(t cpuTime, n int) string {
	if t.total() == 0 {
		return ""
	}
	return fmt.Sprintf("%s (%s + %s)", micros(t.total(), n), micros(t.user, n), micros(t.system, n))
}

// micros formats a time for n calls as µs per call.
func micros(t time.Duration, n int) string {
	x := float64(t) / float64(n) / float64(time.Microsecond)
	return strconv.FormatFloat(x, 'f', decimals(x), 64)
}

// cellText formats the result of a cell: a rate, or the throughput for large values, followed by p50 and p99.
func (r *row) cellText(c *cell) string {
	if len(c.samples) == 0 {
		if c.why == "" {
			return "–"
		}
		return c.why
	}
	rate := figure(c.perSecond())
	if mb := r.mb(); mb > 0 {
		rate = figure(c.perSecond()*float64(mb)) + " MB/s"
	}
	return fmt.Sprintf("%s (%s)", rate, span(c.quantile(0.5), c.quantile(0.99)))
}

// ratioText formats the median of ratios and the ratio of each round.
func ratioText(ratios []float64) string {
	text := times(middle(ratios))
	if len(ratios) < 2 {
		return text
	}
	all := make([]string, len(ratios))
	for i, r := range ratios {
		all[i] = times(r)
	}
	return text + " (" + strings.Join(all, " ") + ")"
}

// mb returns the size of a large value in million bytes; 0 for other work.
func (r *row) mb() int {
	var n int
	if _, err := fmt.Sscanf(r.work, "echo %d MB", &n); err != nil {
		return 0
	}
	return n
}

// text formats the row in one line for the log.
func (r *row) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s:", r.load, r.work)
	for i := range r.cells {
		fmt.Fprintf(&b, "  %s %s", r.cells[i].subject, r.cellText(&r.cells[i]))
	}
	if h := r.cell(nameHearth); h != nil {
		fmt.Fprintf(&b, "  Hearth/Redis %s, Hearth/Pyro4 %s", ratioText(h.ratios(r.cell(nameRedis))),
			ratioText(h.ratios(r.cell(namePyro))))
	}
	return b.String()
}
