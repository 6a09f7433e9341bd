package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// The results on a page are between these lines.
const (
	beginMark = "<!-- begin of the output of make bench-peers -->"
	endMark   = "<!-- end of the output of make bench-peers -->"
)

// table returns all results as Markdown, with the command and the machine.
func (b *bench) table(now time.Time, m machine, command string) string {
	var t strings.Builder
	fmt.Fprintf(&t, "By `%s` on %s: %s.\n", command, now.UTC().Format("2 January 2006"), m)
	versions := make([]string, 0, len(subjects))
	for _, name := range subjects {
		if p := b.peers[name]; p != nil {
			versions = append(versions, p.version)
		}
	}
	fmt.Fprintf(&t, "%s.\n", strings.Join(versions, "; "))
	fmt.Fprintf(&t,
		"Medians of %d rounds of %s; the subjects of a row take turns. "+
			"Calls a second (p50 / p99 of a call, or of a batch).\n", b.cfg.rounds, b.cfg.each)
	for _, s := range b.skips {
		fmt.Fprintf(&t, "\n**Not measured:** %s\n", s)
	}

	fmt.Fprintf(&t, "\n| load | work | %s | Hearth ÷ Redis | Hearth ÷ Pyro4 |\n|---|---|%s---|---|\n",
		strings.Join(subjects, " | "), strings.Repeat("---|", len(subjects)))
	for i := range b.rows {
		r := &b.rows[i]
		h := r.cell(nameHearth)
		if h == nil {
			continue
		}
		fmt.Fprintf(&t, "| %s | %s |", r.load, r.work)
		for _, name := range subjects {
			text := ""
			if c := r.cell(name); c != nil {
				text = r.cellText(c)
			}
			fmt.Fprintf(&t, " %s |", text)
		}
		fmt.Fprintf(&t, " %s | %s |\n", times(h.ratio(r.cell(nameRedis))), times(h.ratio(r.cell(namePyro))))
	}

	fmt.Fprintf(&t, "\n| other loads | work | | calls a second (p50 / p99) | ÷ the first |\n|---|---|---|---|---|\n")
	for i := range b.rows {
		r := &b.rows[i]
		if r.cell(nameHearth) != nil {
			continue
		}
		for j := range r.cells {
			c := &r.cells[j]
			fmt.Fprintf(&t, "| %s | %s | %s | %s | %s |\n", r.load, r.work, c.subject, r.cellText(c),
				times(c.ratio(&r.cells[0])))
		}
	}
	b.costTable(&t)
	return t.String()
}

// costTable appends the processor time per call of each measured subject.
func (b *bench) costTable(t *strings.Builder) {
	fmt.Fprintf(t, "\nProcessor time in µs per call, user + system, over all rounds.\n\n"+
		"| load | work | subject | server | its workers | load | all |\n|---|---|---|---|---|---|---|\n")
	for i := range b.rows {
		r := &b.rows[i]
		for j := range r.cells {
			c, n := r.cells[j].cost()
			if n == 0 || c.total() == 0 {
				continue // not measured, or without /proc
			}
			fmt.Fprintf(t, "| %s | %s | %s | %s | %s | %s | %s |\n", r.load, r.work, r.cells[j].subject,
				perCall(c.server, n), perCall(c.workers, n), perCall(c.load, n), micros(c.total(), n))
		}
	}
}

// rewrite replaces the text between the marks of a page.
func rewrite(path, text string) error {
	page, err := os.ReadFile(path) //nolint:gosec // the user names it
	if err != nil {
		return err
	}
	begin, end := bytes.Index(page, []byte(beginMark)), bytes.Index(page, []byte(endMark))
	if begin < 0 || end < begin {
		return errors.New(path + " must have the two lines that enclose the figures:\n" + beginMark + "\n" + endMark)
	}
	whole := string(page[:begin]) + beginMark + "\n\n" + text + "\n" + string(page[end:])
	return os.WriteFile(path, []byte(whole), 0o644) //nolint:gosec // a page for all to read
}
