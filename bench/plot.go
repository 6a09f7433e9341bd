package main

import (
	"encoding/xml"
	"fmt"
	"math"
	"strings"
	"time"
)

// Dimensions of the plot in pixels.
const (
	plotWidth  = 860
	plotLeft   = 250 // left edge of the bars; the names of the rows are left of it
	plotRight  = 90  // space for the figures of the longest bars
	plotTop    = 64
	barHeight  = 13
	rowSpace   = 14
	plotBottom = 34
)

// colours are the colours of the subjects in their order, readable on light and dark backgrounds.
var colours = []string{"#d9541e", "#2f7fd1", "#b8860b", "#2e9e6b", "#8f6fc4"}

// plot returns the comparison as SVG: calls per second on a logarithmic scale. Rows with large values are in the table
// only.
func (b *bench) plot(now time.Time, m machine) string {
	var bars strings.Builder
	rows, lowest, highest := b.plotted()
	from, to := math.Floor(math.Log10(lowest/2)), math.Ceil(math.Log10(highest))
	x := func(rate float64) float64 {
		return plotLeft + (math.Log10(rate)-from)/(to-from)*(plotWidth-plotLeft-plotRight)
	}
	y := plotTop
	for _, r := range rows {
		top := y
		for i, name := range subjects {
			c := r.cell(name)
			if c == nil || len(c.samples) == 0 {
				continue
			}
			rate := c.perSecond()
			fmt.Fprintf(&bars, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", plotLeft, y+1,
				max(x(rate)-plotLeft, 1), barHeight-2, colours[i])
			fmt.Fprintf(&bars, `<text x="%.1f" y="%d" class="small">%s</text>`+"\n", x(rate)+5, y+barHeight-3,
				figure(rate))
			y += barHeight
		}
		middle := (top+y)/2 - 1
		fmt.Fprintf(&bars, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", plotLeft-10, middle, escaped(r.load))
		fmt.Fprintf(&bars, `<text x="%d" y="%d" text-anchor="end" class="small">%s</text>`+"\n", plotLeft-10, middle+13,
			escaped(r.work))
		y += rowSpace
	}
	height := y + plotBottom

	var t strings.Builder
	fmt.Fprintf(&t, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="title">
<title id="title">Calls a second of Hearth, with all protections on, and its peers</title>
<style>
.ground { fill: #ffffff } text { fill: #1f2328; font: 12px sans-serif } .small { font-size: 10.5px } .grid { stroke: #1f2328; stroke-opacity: .18 }
@media (prefers-color-scheme: dark) { .ground { fill: #0d1117 } text { fill: #e6edf3 } .grid { stroke: #e6edf3 } }
</style>
<rect class="ground" width="100%%" height="100%%"/>
`, plotWidth, height, plotWidth, height)
	fmt.Fprintf(&t,
		`<text x="14" y="22" style="font-size:15px;font-weight:bold">`+
			"Calls a second, logarithmic: longer is more</text>\n")
	at := 14
	for i, name := range subjects {
		if b.peers[name] == nil {
			continue
		}
		label := name
		if name == nameHearth {
			label = "Hearth, all protections on"
		}
		fmt.Fprintf(&t, `<rect x="%d" y="34" width="11" height="11" fill="%s"/><text x="%d" y="44">%s</text>`+"\n", at,
			colours[i], at+16, escaped(label))
		at += 40 + 7*len(label)
	}
	for e := from; e <= to; e++ {
		rate := math.Pow(10, e)
		fmt.Fprintf(&t,
			`<line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`+
				`<text x="%.1f" y="%d" text-anchor="middle" class="small">%s</text>`+"\n",
			x(rate), x(rate), plotTop-6, y-rowSpace+6, x(rate), y-rowSpace+20, thousands(int(rate)))
	}
	t.WriteString(bars.String())
	fmt.Fprintf(&t, `<text x="14" y="%d" class="small">%s, %s</text>`+"\n</svg>\n", height-10,
		now.UTC().Format("2 January 2006"), escaped(m.String()))
	return t.String()
}

// plotted returns the rows with peers and a rate, and the range of the rates; 1 and 10 without rows.
func (b *bench) plotted() (rows []*row, lowest, highest float64) {
	lowest, highest = math.Inf(1), 0
	for i := range b.rows {
		r := &b.rows[i]
		if r.cell(nameHearth) == nil || r.mb() > 0 {
			continue
		}
		seen := false
		for j := range r.cells {
			if rate := r.cells[j].perSecond(); rate > 0 {
				seen, lowest, highest = true, min(lowest, rate), max(highest, rate)
			}
		}
		if seen {
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 || highest < 10*lowest {
		lowest, highest = min(lowest, 1), max(highest, 10)
	}
	return rows, lowest, highest
}

func escaped(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder does not fail
	return b.String()
}
