package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/hearthhost/hearth/audit"
	"github.com/hearthhost/hearth/audit/trail"
	"github.com/hearthhost/hearth/object"
)

// decisionNamed returns the record of a decision on a method.
func decisionNamed(permit bool, method string) *audit.Record {
	r := record(1)
	r.Permit, r.Method = permit, object.Method(method)
	return r
}

// methods returns the methods of the calls in a log, in order.
func methods(t testing.TB, path string) []string {
	t.Helper()
	var all []string
	for e, err := range trail.Entries(path) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Event == "call" {
			all = append(all, e.Method)
		}
	}
	return all
}

// TestRoundIsOneWrite: the records of a round are chained and written at once, by one write.
func TestRoundIsOneWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, audit.Config{Path: path})
	writes := 0
	defer audit.HookWrites(func(p []byte, write func(int) error) error {
		writes++
		return write(len(p))
	})()
	r := l.NewRound()
	var want []string
	for round := range 4 {
		for i := range 20 * round {
			want = append(want, fmt.Sprintf("m%d", i))
			r.Add(decisionNamed(i%3 > 0, want[len(want)-1]))
		}
		if err := r.Commit(); err != nil || writes != round {
			t.Fatalf("round %d: %d writes, %v", round, writes, err)
		}
	}
	if got := methods(t, path); !slices.Equal(got, want) {
		t.Errorf("records %v, want %v", got, want)
	}
	if r := intact(t, path); r.Records != uint64(len(want))+1 {
		t.Errorf("%+v", r)
	}
	if written, lost := l.Counts(); written != uint64(len(want)) || lost != 0 {
		t.Errorf("%d written, %d lost", written, lost)
	}
}

// TestRoundsModel commits random rounds while random writes fail, some after a part of their bytes. The log has the
// records of the rounds whose Commit has succeeded, and nothing of the others.
func TestRoundsModel(t *testing.T) {
	dir := t.TempDir()
	logs := 0
	rapid.Check(t, func(t *rapid.T) {
		logs++
		path := filepath.Join(dir, fmt.Sprint(logs), "audit.jsonl")
		rotate := rapid.SampledFrom([]int64{0, 2000}).Draw(t, "rotate")
		l, err := audit.Open(audit.Config{Path: path, Permits: 1, Rotate: rotate})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		fault := errors.New("disk failure")
		part := -1.0 // share of the bytes that the next write writes before it fails; negative: it succeeds
		defer audit.HookWrites(func(p []byte, write func(int) error) error {
			if part < 0 {
				return write(len(p))
			}
			return errors.Join(fault, write(int(part*float64(len(p)))))
		})()
		r := l.NewRound()
		var want []string
		for round := range rapid.IntRange(1, 12).Draw(t, "rounds") {
			var added []string
			for i := range rapid.IntRange(0, 8).Draw(t, "records") {
				added = append(added, fmt.Sprintf("r%d.%d", round, i))
				r.Add(decisionNamed(rapid.Bool().Draw(t, "permit"), added[i]))
			}
			part = rapid.SampledFrom([]float64{-1, -1, 0, 0.3, 1}).Draw(t, "part")
			before, errRead := os.ReadFile(path)
			err := r.Commit()
			after, errAgain := os.ReadFile(path)
			switch {
			case errRead != nil || errAgain != nil:
				t.Fatal(errRead, errAgain)
			case len(added) == 0 || part < 0:
				if err != nil {
					t.Fatalf("round %d: %v", round, err)
				}
				want = append(want, added...)
			case !errors.Is(err, audit.ErrUnwritten):
				t.Fatalf("round %d, whose write failed: %v", round, err)
			case !bytes.Equal(before, after):
				t.Fatalf("round %d, whose write failed, left %d bytes", round, len(after)-len(before))
			}
		}
		part = -1
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		report, err := trail.Verify(path)
		if err != nil || report.Problems != nil {
			t.Fatalf("%+v, %v", report, err)
		}
		var got []string
		for e, err := range trail.Entries(path) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Event == "call" {
				got = append(got, e.Method)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("records %v, want %v", got, want)
		}
	})
}

// TestConcurrentRounds: rounds of several goroutines share writes; the records of each stay together.
func TestConcurrentRounds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, audit.Config{Path: path, Rotate: 50_000})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			r := l.NewRound()
			for range 30 {
				for i := range 5 {
					r.Add(decisionNamed(true, fmt.Sprintf("g%d.%d", g, i)))
				}
				if err := r.Commit(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	intact(t, path)
	all := methods(t, path)
	if len(all) != 8*30*5 {
		t.Fatalf("%d records", len(all))
	}
	for round := range slices.Chunk(all, 5) {
		for i, m := range round {
			if want := fmt.Sprintf("%s.%d", round[0][:2], i); m != want {
				t.Fatalf("record %d of a round is %s, want %s", i, m, want)
			}
		}
	}
}

// TestRoundWhileStalled: while the disk hangs, a round with a permit fails at once. Its denials are queued.
func TestRoundWhileStalled(t *testing.T) {
	hang, goOn, restore := audit.HangWrites()
	defer restore()
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, audit.Config{Path: path})
	defer goOn()
	hang()
	first := make(chan error, 1)
	go func() { first <- l.Write(decisionNamed(true, "first")) }()
	await(t, "the stall", l.Refuses)
	r := l.NewRound()
	for i := range 6 {
		r.Add(decisionNamed(i%2 == 0, fmt.Sprintf("mixed%d", i)))
	}
	if err := r.Commit(); !errors.Is(err, audit.ErrUnwritten) {
		t.Errorf("a round with permits: %v", err)
	}
	r.Add(decisionNamed(false, "denial"))
	if err := r.Commit(); err != nil {
		t.Errorf("a round of denials: %v", err)
	}
	goOn()
	if err := <-first; err != nil {
		t.Errorf("the write that hung: %v", err)
	}
	if err := l.Note("mark"); err != nil {
		t.Fatal(err)
	}
	intact(t, path)
	got, want := methods(t, path), []string{"first", "mixed1", "mixed3", "mixed5", "denial"}
	if !slices.Equal(got, want) {
		t.Errorf("records %v, want %v", got, want)
	}
}

// TestRoundSamples: a round leaves out permits as the log's configuration requires.
func TestRoundSamples(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, audit.Config{Path: path, Permits: 10})
	r := l.NewRound()
	for i := range 100 {
		r.Add(decisionNamed(i < 90, "m"))
	}
	if err := r.Commit(); err != nil {
		t.Fatal(err)
	}
	if n := len(methods(t, path)); n != 9+10 {
		t.Errorf("%d records, want 19", n)
	}
}

func TestRoundDoesNotAllocate(t *testing.T) {
	l := open(t, audit.Config{Path: filepath.Join(t.TempDir(), "audit.jsonl")})
	var cache audit.CallerCache
	rec := record(1)
	rec.Cache = &cache
	r := l.NewRound()
	commit := func() {
		for range 16 {
			r.Add(rec)
		}
		if err := r.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	commit()
	// The check of the path each second allocates.
	if n := testing.AllocsPerRun(500, commit); n >= 1 {
		t.Errorf("a round of 16 records allocates %v times", n)
	}
}

// BenchmarkRound renders, chains and writes a record, in rounds of several sizes.
func BenchmarkRound(b *testing.B) {
	l := open(b, audit.Config{Path: filepath.Join(b.TempDir(), "audit.jsonl"), Rotate: 64 << 20, Keep: 1})
	var cache audit.CallerCache
	rec := record(1)
	rec.Cache = &cache
	for _, size := range []int{1, 4, 16, 64} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			r := l.NewRound()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r.Add(rec)
				if i%size != size-1 {
					continue
				}
				if err := r.Commit(); err != nil {
					b.Fatal(err)
				}
			}
			if err := r.Commit(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
