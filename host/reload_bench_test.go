package host_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/policy"
)

// BenchmarkReload measures the time from renaming a script over its old version to the first result of the new
// version. One caller polls continuously.
func BenchmarkReload(b *testing.B) {
	h, dir := startHost(b, everything)
	o := dial(b, h.Addrs()[0], client.Config{}).Object("acme.v")
	path := filepath.Join(dir, "scripts", "acme", "v.lua")
	put := func(n int) {
		if err := os.WriteFile(path+".new", []byte(version(n)), 0o600); err != nil {
			b.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			b.Fatal(err)
		}
	}
	put(1)
	if err := h.Reload(b.Context()); err != nil {
		b.Fatal(err)
	}
	n := 1
	var times []time.Duration
	for b.Loop() {
		n++
		begun := time.Now()
		put(n)
		for got := any(nil); got != int64(n); {
			var err error
			if got, err = o.Call(b.Context(), "version"); err != nil {
				b.Fatal(err)
			}
		}
		times = append(times, time.Since(begun))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms")
}

// BenchmarkManyTenants starts a host of 1,000 tenants with 10 objects each, and stops it.
func BenchmarkManyTenants(b *testing.B) {
	dir := b.TempDir()
	for t := range 1000 {
		folder := filepath.Join(dir, "scripts", fmt.Sprintf("t%d", t))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			b.Fatal(err)
		}
		for o := range 10 {
			path := filepath.Join(folder, fmt.Sprintf("o%d.lua", o))
			if err := os.WriteFile(path, []byte(version(o)), 0o600); err != nil {
				b.Fatal(err)
			}
		}
	}
	p, err := policy.Default(dir, os.Getuid())
	if err != nil {
		b.Fatal(err)
	}
	p.Listeners = p.Listeners[1:] // Unix sockets only: TCP ports may be in use
	p.Audit.Off = true
	for b.Loop() {
		h, err := host.New(host.Config{Policy: p, Worker: []string{os.Args[0], "worker"}})
		if err == nil {
			err = h.Listen(b.Context())
		}
		if err != nil {
			b.Fatal(err)
		}
		serving, stop := context.WithCancel(b.Context())
		done := make(chan error, 1)
		go func() { done <- h.Serve(serving) }()
		if err := h.Reload(b.Context()); err != nil {
			b.Fatal(err)
		}
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		b.ReportMetric(float64(now.HeapAlloc)/(1<<20), "heap-MB")
		stop()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}
