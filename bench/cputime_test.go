package main

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	s, err := parseStat([]byte("12 (a) b (c) S 7 1 1 0 -1 4194560 1 2 3 4 250 31 9 9 20 0 1 0 5 6 7\n"))
	want := stat{parent: 7, time: cpuTime{user: 2500 * time.Millisecond, system: 310 * time.Millisecond}}
	if err != nil || s != want {
		t.Errorf("%+v, %v; want %+v", s, err, want)
	}
	for _, text := range []string{"", "12 (a) S 7", "12 (a) S x 1 1 0 -1 4194560 1 2 3 4 250 31 9"} {
		if s, err := parseStat([]byte(text)); err == nil {
			t.Errorf("%q is %+v", text, s)
		}
	}
}

func TestDescendants(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: only Linux has /proc")
	}
	child := exec.Command("cat")
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if all := descendants(os.Getpid()); !slices.Contains(all, child.Process.Pid) {
		t.Errorf("process %d is not in %v", child.Process.Pid, all)
	}
	stdin.Close()
	if err := child.Wait(); err != nil {
		t.Error(err)
	}
	m := newMeter(os.Getpid())
	m.begin()
	for begin := time.Now(); m.end().load.total() == 0; {
		if time.Since(begin) > time.Minute {
			t.Fatal("a minute of work took no processor time")
		}
	}
	if c := m.end(); c.server.total() == 0 || c.total() < c.load.total() {
		t.Errorf("%+v", c)
	}
}

func TestCostTable(t *testing.T) {
	all := samples(1000, 1000)
	for _, s := range all {
		s.cost = cost{
			server: cpuTime{3 * time.Millisecond, 4 * time.Millisecond},
			load:   cpuTime{system: time.Millisecond},
		}
	}
	b := bench{rows: []row{{load: "a load", work: "add", cells: []cell{
		{subject: nameRedis, samples: all}, {subject: nameGRPC, samples: samples(5)}, {subject: namePyro},
	}}}}
	var text strings.Builder
	b.costTable(&text)
	want := "| a load | add | Redis | 7.0 (3.0 + 4.0) |  | 1.0 (0 + 1.0) | 8.0 |\n"
	if !strings.HasSuffix(text.String(), want) || strings.Contains(text.String(), nameGRPC) {
		t.Errorf("%s\nwant %s", text.String(), want)
	}
}

func TestRatioText(t *testing.T) {
	for _, tt := range []struct {
		ratios []float64
		want   string
	}{{nil, "–"}, {[]float64{0.5}, "0.50"}, {[]float64{0.5, 2, 1}, "1.0 (0.50 2.0 1.0)"}} {
		if got := ratioText(tt.ratios); got != tt.want {
			t.Errorf("ratioText(%v) = %s, want %s", tt.ratios, got, tt.want)
		}
	}
}
