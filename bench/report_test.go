package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var testTime = time.Date(2027, 1, 31, 18, 0, 0, 0, time.UTC)

// samples returns rounds with numbers of calls in a second, each of a microsecond.
func samples(calls ...int) []*sample {
	var all []*sample
	for _, n := range calls {
		all = append(all, &sample{
			calls:   n,
			elapsed: time.Second,
			times:   []time.Duration{time.Microsecond, 2 * time.Microsecond, 9 * time.Microsecond},
		})
	}
	return all
}

// measured returns an invented run.
func measured() *bench {
	return &bench{
		cfg:   config{rounds: 3, each: time.Second},
		skips: []string{"Redis: not here & not there"},
		peers: map[string]*peer{nameHearth: {version: "Hearth 1"}, namePyro: {version: "Pyro4 4"}},
		rows: []row{
			{load: "a <load>", work: "add", cells: []cell{
				{subject: nameHearth, samples: samples(300, 10, 200)},
				{subject: namePyro, samples: samples(100, 100, 100)},
				{subject: nameRedis, why: "not here"},
			}},
			{load: "large", work: "echo 4 MB", cells: []cell{{subject: nameHearth, samples: samples(5, 5, 5)}}},
			{load: "alone", work: "add",
				cells: []cell{{subject: "plain", samples: samples(4)}, {subject: "HMAC", samples: samples(3)}}},
		},
	}
}

func TestTable(t *testing.T) {
	text := measured().table(testTime, machine{cores: 2, processor: "P", kernel: "K"}, "make it")
	for _, want := range []string{
		"By `make it` on 31 January 2027: 2 cores of P, K",
		"Hearth 1; Pyro4 4.",
		"**Not measured:** Redis: not here & not there",
		"| a <load> | add | 200 (2.0 / 9.0 µs) | 100 (2.0 / 9.0 µs) | not here |  |  | – | 2.0 |",
		"| large | echo 4 MB | 20 MB/s (2.0 / 9.0 µs) |",
		"| alone | add | HMAC | 3.0 (2.0 / 9.0 µs) | 0.75 |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the table lacks %q:\n%s", want, text)
		}
	}
}

func TestPlot(t *testing.T) {
	for _, b := range []*bench{measured(), {}} {
		text := b.plot(testTime, machine{processor: "A & B"})
		for dec := xml.NewDecoder(strings.NewReader(text)); ; {
			if _, err := dec.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("the plot is not XML: %v\n%s", err, text)
			}
		}
		if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
			t.Errorf("the plot has impossible numbers:\n%s", text)
		}
	}
}

func TestRewrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("before\n" + beginMark + "\nold\n" + endMark + "\nafter\n")
	for range 2 { // the marks survive
		if err := rewrite(path, "new"); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if want := "before\n" + beginMark + "\n\nnew\n" + endMark + "\nafter\n"; err != nil || string(got) != want {
		t.Errorf("%v, %q; want %q", err, got, want)
	}
	for _, text := range []string{"", beginMark, endMark + beginMark} {
		write(text)
		if err := rewrite(path, "new"); err == nil {
			t.Errorf("a page without both marks in order was rewritten: %q", text)
		}
	}
}

// The page that the Makefile names has its place for the figures.
func TestPageHasMarks(t *testing.T) {
	page, err := os.ReadFile("../doc/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(page), beginMark) != 1 || strings.Count(string(page), endMark) != 1 {
		t.Errorf("doc/performance.md must have %q and %q once each", beginMark, endMark)
	}
}

func TestFigures(t *testing.T) {
	for x, want := range map[float64]string{0: "0.0", 0.44: "0.4", 9.96: "10", 12.4: "12", 31449: "31,000",
		1234567: "1,200,000"} {
		if got := figure(x); got != want {
			t.Errorf("figure(%v) = %s, want %s", x, got, want)
		}
	}
	for _, tt := range []struct {
		p50, p99 time.Duration
		want     string
	}{
		{70 * time.Microsecond, 210 * time.Microsecond, "70 / 210 µs"},
		{70 * time.Microsecond, 2100 * time.Microsecond, "0.07 / 2.1 ms"},
		{12 * time.Millisecond, 1500 * time.Millisecond, "0.01 / 1.5 s"},
	} {
		if got := span(tt.p50, tt.p99); got != tt.want {
			t.Errorf("span(%s, %s) = %s, want %s", tt.p50, tt.p99, got, tt.want)
		}
	}
}

func TestParseTimes(t *testing.T) {
	elapsed, times, err := parseTimes("0.5 100 200")
	if err != nil || elapsed != 500*time.Millisecond || len(times) != 2 || times[1] != 200 {
		t.Errorf("%s, %v, %v", elapsed, times, err)
	}
	for _, line := range []string{"", "0.5", "x 1", "0.5 x"} {
		if _, _, err := parseTimes(line); err == nil {
			t.Errorf("%q is no report", line)
		}
	}
}
