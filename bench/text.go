package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// round2 leaves the two leading digits of a figure: the others are noise.
func round2(x float64) float64 {
	if x <= 0 {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(x))-1)
	return math.Round(x/unit) * unit
}

// thousands writes 31000 as "31,000".
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// figure writes a rate.
func figure(x float64) string {
	if x = round2(x); x < 10 {
		return strconv.FormatFloat(x, 'f', 1, 64)
	}
	return thousands(int(math.Round(x)))
}

// span writes two times in the unit of the larger one: "0.12 / 1.4 ms".
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

// decimals is how many places behind the point make two digits.
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

// times writes a ratio: "0.45", "3.2", "12"; "–" where there is none.
func times(x float64) string {
	if x = round2(x); x <= 0 {
		return "–"
	}
	return strconv.FormatFloat(x, 'f', decimals(x), 64)
}

// cellText is what was measured on a cell: a rate, or the amount of value a second if the work is
// large, with p50 and p99 behind it.
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

// mb is the size of a large value in million bytes; 0 if the work has none.
func (r *row) mb() int {
	var n int
	if _, err := fmt.Sscanf(r.work, "echo %d MB", &n); err != nil {
		return 0
	}
	return n
}

// text is the row in a line, for who watches.
func (r *row) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s:", r.load, r.work)
	for i := range r.cells {
		fmt.Fprintf(&b, "  %s %s", r.cells[i].subject, r.cellText(&r.cells[i]))
	}
	if h := r.cell(nameHearth); h != nil {
		fmt.Fprintf(&b, "  Hearth/Redis %s, Hearth/Pyro4 %s", times(h.ratio(r.cell(nameRedis))),
			times(h.ratio(r.cell(namePyro))))
	}
	return b.String()
}
