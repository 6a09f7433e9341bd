package sqlite_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/service/store/sqlite"
)

// BenchmarkFsync appends 4 KiB to a file and syncs it: the time that a durable commit cannot be below.
func BenchmarkFsync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "file"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := []byte(strings.Repeat("x", 4096))
	for b.Loop() {
		if _, err := f.Write(page); err != nil {
			b.Fatal(err)
		}
		if err := syscall.Fsync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIncrement commits increments by concurrent callers, each of another object.
func BenchmarkIncrement(b *testing.B) {
	for _, callers := range []int{1, 50} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			e := newEngine(b, sqlite.Config{})
			commit(b, e, add("acme.counter", "n", 1))
			var id atomic.Int64
			b.SetParallelism(callers)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				o := object.ID(fmt.Sprintf("acme.counter:%d", id.Add(1)))
				for pb.Next() {
					if _, err := e.Commit(b.Context(), add(o, "n", 1)); err != nil {
						b.Error(err)
					}
				}
			})
			m := e.Metrics()
			b.ReportMetric(float64(m.Batches.Load())/float64(m.Commits.Load()), "batches/commit")
		})
	}
}

// BenchmarkGet reads keys.
func BenchmarkGet(b *testing.B) {
	e := newEngine(b, sqlite.Config{})
	for i := range 100 {
		commit(b, e, put("acme.a", fmt.Sprint(i), `{"total": 12}`))
	}
	i := 0
	for b.Loop() {
		i++
		if _, err := e.Get(b.Context(), "acme.a", fmt.Sprint(i%100)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkColdOpen opens stores of a process that has ended, and reads a key of each.
func BenchmarkColdOpen(b *testing.B) {
	dir := b.TempDir()
	former, err := sqlite.New(sqlite.Config{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	id := func(i int) object.ID { return object.ID(fmt.Sprintf("t%d.a", i)) }
	for i := range b.N {
		commit(b, former, put(id(i), "k", "1"))
	}
	if err := former.Close(); err != nil {
		b.Fatal(err)
	}
	e := newEngine(b, sqlite.Config{Dir: dir, MaxOpen: b.N + 1})
	b.ResetTimer()
	for i := range b.N {
		if _, err := e.Get(b.Context(), id(i), "k"); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
}

// BenchmarkOpen opens the store of a tenant that another one has displaced, and reads a key.
func BenchmarkOpen(b *testing.B) {
	e := newEngine(b, sqlite.Config{MaxOpen: 1})
	commit(b, e, put("acme.a", "k", "1"), put("zoo.a", "k", "1"))
	i := 0
	for b.Loop() {
		i++
		id := object.ID("acme.a")
		if i%2 == 0 {
			id = "zoo.a"
		}
		if _, err := e.Get(b.Context(), id, "k"); err != nil {
			b.Fatal(err)
		}
	}
}
