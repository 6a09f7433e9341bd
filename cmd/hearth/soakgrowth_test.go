//go:build linux

package main_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// sample holds the resources of a host at one time.
type sample struct {
	at         time.Duration // since the load began
	host       int           // memory of the host, in KiB: shared pages count in part
	workers    int           // and of its workers and plugins
	files      int           // descriptors of the host
	processes  int           // workers, plugins and prewarmed workers
	goroutines int           // of the host
	done       map[string]int
}

// watch takes samples until the time of the load is over, or something failed.
func (s *soaked) watch() []sample {
	tick := time.NewTicker(min(max(*soak/120, 250*time.Millisecond), 5*time.Second))
	defer tick.Stop()
	var all []sample
	for began := time.Now(); time.Since(began) < *soak && !s.t.Failed(); {
		select {
		case <-tick.C:
			all = append(all, s.sample(time.Since(began)))
		case <-s.ctx.Done():
			s.t.Error("the load does not end")
		}
	}
	return all
}

func (s *soaked) sample(at time.Duration) sample {
	held := s.h.holds(s.t)
	out := sample{at: at, host: pssKiB(s.h.pid), files: held.files, processes: held.children, done: s.counts.all()}
	for _, pid := range children(s.t, s.h.pid) {
		out.workers += pssKiB(pid)
	}
	var err error
	if out.goroutines, err = s.h.goroutines(s.ctx); err != nil {
		s.t.Errorf("reading the metrics: %v", err)
	}
	return out
}

// pssKiB is the memory of a process, 0 if it has ended.
func pssKiB(pid int) int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	for line := range strings.Lines(string(text)) {
		var n int
		if _, err := fmt.Sscanf(line, "Pss: %d kB", &n); err == nil {
			return n
		}
	}
	return 0
}

// goroutines returns the number of goroutines of the host, from its admin socket.
func (h *liveHost) goroutines(ctx context.Context) (int, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", filepath.Join(h.dir, "state", "admin.sock"))
		}}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://hearth/metrics", nil)
	if err != nil {
		return 0, err
	}
	answer, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		var n int
		if _, err := fmt.Sscanf(line, "go_goroutines %d", &n); err == nil {
			return n, nil
		}
	}
	return 0, fmt.Errorf("no go_goroutines in\n%.500s", text)
}

// measured are the columns of a sample that may not grow: by how much the median of the last
// quarter may pass that of the second, as a share and in units. Garbage that waits for its
// collection makes memory go up and down by some large messages.
var measured = []struct {
	name  string
	of    func(s *sample) int
	share float64
	more  int
}{
	{"host KiB", func(s *sample) int { return s.host }, 0.25, 64 << 10},
	{"workers KiB", func(s *sample) int { return s.workers }, 0.25, 128 << 10},
	{"descriptors", func(s *sample) int { return s.files }, 0.1, 10},
	{"processes", func(s *sample) int { return s.processes }, 0, 3},
	{"goroutines", func(s *sample) int { return s.goroutines }, 0.1, 30},
}

// shortestSoak is the shortest load whose growth is checked: before, buffers fill and caches warm.
const shortestSoak = time.Minute

// grown names a resource that grew, "" if none did or the time was too short.
func grown(all []sample) string {
	if len(all) < 8 || all[len(all)-1].at < shortestSoak {
		return ""
	}
	var out []string
	for _, m := range measured {
		early, late := median(all[len(all)/4:len(all)/2], m.of), median(all[len(all)*3/4:], m.of)
		if most := int(float64(early)*(1+m.share)) + m.more; late > most {
			out = append(out, fmt.Sprintf("%s grew from %d in the second quarter to %d in the last, and may be %d",
				m.name,
				early, late, most))
		}
	}
	return strings.Join(out, "\n")
}

func median(all []sample, of func(s *sample) int) int {
	values := make([]int, len(all))
	for i := range all {
		values[i] = of(&all[i])
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// table formats at most twenty samples, and the total of operations.
func table(all []sample) string {
	var b strings.Builder
	b.WriteString("\n     time")
	for _, m := range measured {
		fmt.Fprintf(&b, "  %11s", m.name)
	}
	for i := range all {
		if i%max(1, len(all)/20) != 0 && i != len(all)-1 {
			continue
		}
		fmt.Fprintf(&b, "\n%9s", all[i].at.Round(100*time.Millisecond))
		for _, m := range measured {
			fmt.Fprintf(&b, "  %11d", m.of(&all[i]))
		}
	}
	if len(all) > 0 {
		done := all[len(all)-1].done
		for _, name := range slices.Sorted(maps.Keys(done)) {
			fmt.Fprintf(&b, "\n%9d %s", done[name], name)
		}
	}
	return b.String()
}

// TestGrown: a leak is found, and a resource that goes up and down is not.
func TestGrown(t *testing.T) {
	series := func(host, files func(i int) int) []sample {
		all := make([]sample, 120)
		for i := range all {
			all[i] = sample{at: time.Duration(i) * time.Second, host: host(i), files: files(i), goroutines: 50,
				processes: 6}
		}
		return all
	}
	flat := func(int) int { return 100 }
	for _, tc := range []struct {
		name        string
		host, files func(i int) int
		want        string
	}{
		{"nothing", flat, flat, ""},
		{"waves", func(i int) int { return 100<<10 + i%7*20<<10 }, flat, ""},
		{"a start", func(i int) int { return min(i, 20) * 10 << 10 }, flat, ""},
		{"memory", func(i int) int { return 100<<10 + i*2<<10 }, flat, "host KiB"},
		{"descriptors", flat, func(i int) int { return 100 + i }, "descriptors"},
	} {
		got := grown(series(tc.host, tc.files))
		if (got == "") != (tc.want == "") || !strings.HasPrefix(got, tc.want) {
			t.Errorf("%s: grown = %q, want %q", tc.name, got, tc.want)
		}
	}
	short := series(func(i int) int { return i << 20 }, flat)[:50]
	if got := grown(short); got != "" {
		t.Errorf("of less than a minute: %q", got)
	}
}
