//go:build linux

package main_test

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	hearth "github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/object"
)

// neighbourAttacks are the bodies of methods that a tenant is kept busy with.
var neighbourAttacks = []struct{ name, body string }{
	{"cpu", "while true do pcall(string.rep, 'x', 100) end"},
	{"memory", "local t = {} while true do t[#t + 1] = { #t, tostring(#t) } end"},
	{"garbage", "while true do local _ = ('x'):rep(1e6) end"},
	{"logs", "while true do print(('x'):rep(1000)) end"},
	{"results", "return ('x'):rep(8e6)"},
}

// BenchmarkNeighbour measures a tenant's calls at the real binary, one after the other, while
// the host is idle and while four callers keep another tenant busy with an attack. ns/op is the time of the calls under
// attack. It also reports the 50th and 99th percentiles of both, and the ratio of the 99th percentiles. The attacks
// use their full limits: one processor.
func BenchmarkNeighbour(b *testing.B) {
	h := startHostWith(b, fmt.Sprintf(`
scripts = "scripts"
state   = "state"
listener "tcp" { address = "127.0.0.1:0" }
principal "me" { uid = %d }
tenant "demo" {}
tenant "hostile" {}
permit "all" {
  principals = ["me"]
  objects    = ["*.*"]
}
`, os.Getuid()), func(dir string) {
		check(b, os.MkdirAll(filepath.Join(dir, "scripts", "hostile"), 0o755))
		for _, a := range neighbourAttacks {
			text := "local O = hearth.object { instance = 'call' }\n" +
				"function O.expose:attack() " + a.body + " end\nreturn O\n"
			check(b, os.WriteFile(filepath.Join(dir, "scripts", "hostile", a.name+".lua"), []byte(text), 0o644))
		}
	})
	c, err := hearth.New(hearth.Config{Address: h.tcp})
	check(b, err)
	b.Cleanup(func() { c.Close() })
	call := func() time.Duration {
		began := time.Now()
		if v, err := c.Object("demo.echo").Call(b.Context(), "echo", "x"); err != nil || v != "x" {
			b.Fatalf("echo = %v, %v", v, err)
		}
		return time.Since(began)
	}
	for range 500 { // the worker starts, buffers grow
		call()
	}
	for _, a := range neighbourAttacks {
		b.Run(a.name, func(b *testing.B) {
			quiet := make([]time.Duration, 2000)
			for i := range quiet {
				quiet[i] = call()
			}
			ctx, stop := context.WithCancel(b.Context())
			var attackers sync.WaitGroup
			begun := make(chan struct{}, 4)
			for range 4 {
				attackers.Go(func() {
					begun <- struct{}{}
					for ctx.Err() == nil {
						_, _ = c.Object(object.ID("hostile."+a.name)).Call(ctx, "attack")
					}
				})
			}
			for range 4 {
				<-begun
			}
			var loaded []time.Duration
			for b.Loop() {
				loaded = append(loaded, call())
			}
			b.StopTimer()
			stop()
			attackers.Wait()
			at := func(of []time.Duration, percent int) float64 {
				return float64(percentile(of, percent).Nanoseconds()) / 1e3
			}
			b.ReportMetric(at(quiet, 50), "quiet-p50-µs")
			b.ReportMetric(at(quiet, 99), "quiet-p99-µs")
			b.ReportMetric(at(loaded, 50), "p50-µs")
			b.ReportMetric(at(loaded, 99), "p99-µs")
			b.ReportMetric(at(loaded, 99)/at(quiet, 99), "p99-ratio")
		})
	}
}

// BenchmarkNeighbourOfCorpus measures a tenant's calls at the real binary, one after the other, while another tenant
// runs each script of the hostile corpus in turn. ns/op is of all calls under attack; beside it stand the 99th
// percentiles with and without an attack. Of the scripts that leave time for 500 calls it logs the ten under which
// the calls
// were slowest.
func BenchmarkNeighbourOfCorpus(b *testing.B) {
	h := startHostile(b, os.Getuid())
	call := func() time.Duration {
		began := time.Now()
		if v, err := h.clients["me"].Object("demo.echo").Call(b.Context(), "echo", "x"); err != nil || v != "x" {
			b.Fatalf("echo = %v, %v", v, err)
		}
		return time.Since(began)
	}
	for range 500 { // the worker starts, buffers grow
		call()
	}
	type slow struct {
		script string
		calls  int
		p99    time.Duration
	}
	var quiet, loaded []time.Duration
	var worst []slow
	for b.Loop() {
		for i, script := range h.scripts {
			for range 200 {
				quiet = append(quiet, call())
			}
			ended := make(chan struct{})
			go func() { // ends with the attack
				defer close(ended)
				begun := time.Now()
				h.attack(b, i).run()
				step := script.steps[0]
				attacked := h.clients["me"].Object(object.ID(fmt.Sprintf("hostile%d.%s", i%hostileTenants,
					script.name)))
				for script.single() && time.Since(begun) < time.Second {
					_, _ = attacked.Call(b.Context(), step.method, step.args...)
				}
			}()
			var calls []time.Duration
			for running := true; running; {
				calls = append(calls, call())
				select {
				case <-ended:
					running = false
				default:
				}
			}
			loaded = append(loaded, calls...)
			if len(calls) >= 500 { // of fewer, the 99th percentile is the slowest few
				worst = append(worst, slow{script.name, len(calls), percentile(calls, 99)})
			}
		}
	}
	b.ReportMetric(float64(percentile(quiet, 99).Nanoseconds())/1e3, "quiet-p99-µs")
	b.ReportMetric(float64(percentile(loaded, 99).Nanoseconds())/1e3, "p99-µs")
	b.ReportMetric(float64(percentile(loaded, 99))/float64(percentile(quiet, 99)), "p99-ratio")
	slices.SortFunc(worst, func(x, y slow) int { return cmp.Compare(y.p99, x.p99) })
	for _, w := range worst[:min(len(worst), 10)] {
		b.Logf("%s: %.1f times, p99 %s of %d calls", w.script, float64(w.p99)/float64(percentile(quiet, 99)), w.p99,
			w.calls)
	}
}

// percentile returns the given percentile of durations, which it sorts.
func percentile(of []time.Duration, percent int) time.Duration {
	slices.Sort(of)
	return of[len(of)*percent/100]
}
