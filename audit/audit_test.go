package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/hearthhost/hearth/audit"
	"github.com/hearthhost/hearth/object"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var alice = object.Caller{Principal: "alice", Peer: object.Peer{Way: "peer", UID: 1000, Channel: "tcp", Addr: "127.0.0.1:5000"}}

func record(i int) *audit.Record {
	return &audit.Record{Event: "call", Permit: i%3 != 0, Caller: &alice, Object: "acme.counter", Method: object.Method(fmt.Sprintf("m%d", i)),
		Reason: `policy.hcl:9 permit "alice"`, Call: [16]byte{1, byte(i)}}
}

// open opens a log; the test closes it.
func open(t testing.TB, cfg audit.Config) *audit.Log {
	t.Helper()
	if cfg.Permits == 0 {
		cfg.Permits = 1
	}
	l, err := audit.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func write(t testing.TB, l *audit.Log, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := l.Write(record(i)); err != nil {
			t.Fatal(err)
		}
	}
}

// intact verifies a log that must be whole.
func intact(t testing.TB, path string) *audit.Report {
	t.Helper()
	r, err := audit.Verify(path)
	if err != nil {
		t.Fatal(err)
	}
	if r.Problems != nil {
		t.Fatalf("%d problems:\n%s", len(r.Problems), strings.Join(r.Problems, "\n"))
	}
	return r
}

func TestWriteAndVerify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "audit.jsonl")
	l := open(t, audit.Config{Path: path})
	write(t, l, 0, 10)
	seq, head := l.Head()
	if r := intact(t, path); r.Records != 11 || r.Last != seq || r.Head != head || r.First != 1 || r.Notes != nil {
		t.Errorf("%+v, want head %d %s", r, seq, head)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Write(record(1)); !errors.Is(err, audit.ErrUnwritten) {
		t.Errorf("writing to a closed log: %v", err)
	}
	l = open(t, audit.Config{Path: path})
	write(t, l, 10, 12)
	if r := intact(t, path); r.Records != 15 || r.First != 1 { // open, 10, stop, open, 2
		t.Errorf("after a restart: %+v", r)
	}
	var methods []string
	for e, err := range audit.Entries(path) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Event == "call" {
			methods = append(methods, e.Method)
		}
	}
	if len(methods) != 12 || methods[11] != "m11" {
		t.Errorf("entries: %v", methods)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// TestTampering changes every byte of a log, takes out every line, doubles and swaps
// them: each shows, but for the end being cut off, which the head shows.
func TestTampering(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, audit.Config{Path: path})
	write(t, l, 0, 4)
	l.Close()
	whole := intact(t, path)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	broken := func(what string, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := audit.Verify(path)
		if err == nil && r.Problems == nil && r.Head == whole.Head && r.Records == whole.Records {
			t.Errorf("%s does not show: %+v", what, r)
		}
		if err == nil && r.Problems == nil && r.Notes == nil {
			t.Errorf("%s is not even noted: %+v", what, r)
		}
	}
	for i := range good {
		b := bytes.Clone(good)
		b[i] ^= 1
		broken(fmt.Sprintf("byte %d", i), b)
	}
	lines := bytes.SplitAfter(bytes.TrimSuffix(good, []byte("\n")), []byte("\n"))
	lines[len(lines)-1] = append(lines[len(lines)-1], '\n')
	for i := range lines {
		if i < len(lines)-1 {
			broken(fmt.Sprintf("line %d taken out", i+1), bytes.Join(slices.Delete(slices.Clone(lines), i, i+1), nil))
			swapped := slices.Clone(lines)
			swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
			broken(fmt.Sprintf("line %d swapped", i+1), bytes.Join(swapped, nil))
		}
		broken(fmt.Sprintf("line %d doubled", i+1), bytes.Join(slices.Insert(slices.Clone(lines), i, lines[i]), nil))
	}
	if err := os.WriteFile(path, bytes.Join(lines[:len(lines)-1], nil), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := intact(t, path); r.Head == whole.Head {
		t.Error("a log whose end was cut off has the same head")
	}
}

func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, audit.Config{Path: path, Rotate: 2000, Keep: 3})
	write(t, l, 0, 100)
	l.Close()
	files, err := audit.Files(path)
	if err != nil || len(files) != 4 {
		t.Fatalf("%v, %v", files, err)
	}
	if r := intact(t, path); r.First == 1 || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "not here any more") {
		t.Errorf("%+v", r)
	}
	// Lines taken from the end or the beginning of a file in the middle.
	middle, err := os.ReadFile(files[1])
	if err != nil {
		t.Fatal(err)
	}
	all := bytes.SplitAfter(bytes.TrimSuffix(middle, []byte("\n")), []byte("\n"))
	for what, left := range map[string][][]byte{"its last line": all[:len(all)-1], "all but its first": all[:1], "its first line": all[1:], "its second line": slices.Delete(slices.Clone(all), 1, 2)} {
		if err := os.WriteFile(files[1], bytes.Join(left, nil), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := audit.Verify(path); err != nil || r.Problems == nil {
			t.Errorf("%s is missing in the middle: %+v, %v", what, r, err)
		}
	}
	if err := os.Remove(files[1]); err != nil {
		t.Fatal(err)
	}
	if r, err := audit.Verify(path); err != nil || r.Problems == nil || !strings.Contains(r.Problems[0], "missing") {
		t.Errorf("a file taken out of the middle: %+v, %v", r, err)
	}
}

// TestRestartAfterRotation: the file that is written is missing, as after a crash between
// setting the old one aside and beginning the new one.
func TestRestartAfterRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, audit.Config{Path: path})
	write(t, l, 0, 5)
	l.Close()
	if err := os.Rename(path, filepath.Join(filepath.Dir(path), "audit-00000000000000000007.jsonl")); err != nil {
		t.Fatal(err)
	}
	l = open(t, audit.Config{Path: path})
	write(t, l, 5, 6)
	if r := intact(t, path); r.Files != 2 || r.First != 1 || r.Last != 9 {
		t.Errorf("%+v", r)
	}
}

func TestTornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, audit.Config{Path: path})
	write(t, l, 0, 5)
	l.Close()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range []int{1, 20, 100} {
		if err := os.WriteFile(path, append(bytes.Clone(b), b[len(b)/2:len(b)-cut]...), 0o600); err != nil {
			t.Fatal(err)
		}
		l := open(t, audit.Config{Path: path})
		write(t, l, 5, 6)
		l.Close()
		r, err := audit.Verify(path)
		if err != nil {
			t.Fatal(err)
		}
		if cut != 1 && !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "cut off") }) {
			t.Errorf("cut %d: %+v", cut, r)
		}
	}
}

func TestNotOurs(t *testing.T) {
	dir := t.TempDir()
	refused := func(path, want string) {
		t.Helper()
		l, err := audit.Open(audit.Config{Path: path, Permits: 1})
		if err == nil {
			l.Close()
			t.Errorf("%s was opened", path)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	path := filepath.Join(dir, "log")
	l := open(t, audit.Config{Path: path})
	refused(path, "another host")
	l.Close()
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	refused(path, "chmod 600")
	if err := os.Symlink(path, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	refused(filepath.Join(dir, "link"), "opening")
	refused(dir, "opening")
	if err := os.WriteFile(filepath.Join(dir, "text"), bytes.Repeat([]byte("not a log\n"), 20_000), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(filepath.Join(dir, "text"), "move the file away")
}

// TestVanished removes, replaces and changes the file under a running log.
func TestVanished(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	for what, harm := range map[string]func() error{
		"removed":  func() error { return os.Remove(path) },
		"replaced": func() error { return errors.Join(os.Remove(path), os.WriteFile(path, []byte("x\n"), 0o600)) },
		"linked":   func() error { return errors.Join(os.Remove(path), os.Symlink("/etc/passwd", path)) },
		"emptied":  func() error { return os.Truncate(path, 0) },
		"cut":      func() error { return os.Truncate(path, 100) },
		"added to": func() error {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString("{}")
			return errors.Join(err, f.Close())
		},
	} {
		os.RemoveAll(path)
		l := open(t, audit.Config{Path: path})
		write(t, l, 0, 5)
		if err := harm(); err != nil {
			t.Fatal(err)
		}
		l.Look()
		write(t, l, 5, 6)
		l.Close()
		r, err := audit.Verify(path)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if r.Problems == nil && r.Notes == nil {
			t.Errorf("%s: nothing shows: %+v", what, r)
		}
		if r.Last != 8 { // open, 5, open, 1, stop less
			if r.Last != 9 {
				t.Errorf("%s: the numbers do not go on: %+v", what, r)
			}
		}
	}
}

func TestFailingSink(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, audit.Config{Path: path})
	write(t, l, 0, 2)
	mend := l.Break()
	if err := l.Write(record(2)); !errors.Is(err, audit.ErrUnwritten) {
		t.Errorf("a disk that fails: %v", err)
	}
	mend()
	write(t, l, 3, 5)
	if r := intact(t, path); r.Records != 5 {
		t.Errorf("%+v", r)
	}
}

func TestDropAndCount(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, audit.Config{Path: path, Drop: true})
	write(t, l, 0, 2)
	if err := l.Note("mark"); err != nil { // and all before it is written
		t.Fatal(err)
	}
	mend := l.Break()
	write(t, l, 2, 5) // no error
	if err := l.Note("mark"); err == nil {
		t.Fatal("a note on a disk that fails")
	}
	mend()
	l.Close()
	// Two, the mark, the line about the dropped, and the end.
	if written, lost := l.Counts(); written != 5 || lost != 4 {
		t.Errorf("Counts() = %d written, %d lost; want 5 and 4", written, lost)
	}
	intact(t, path)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(b, []byte(`"event":"dropped","count":4`)) || bytes.Contains(b, []byte(`"m3"`)) {
		t.Errorf("%s", b)
	}
}

// TestHangingSink: while a disk hangs a bounded number of records waits. What comes then is
// refused, or, if the policy says so, counted; nobody waits for what is counted.
func TestHangingSink(t *testing.T) {
	for _, drop := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		l := open(t, audit.Config{Path: path, Drop: drop})
		goOn := l.Hang()
		const bytes = 1 << 20 // of the queue
		var wg sync.WaitGroup
		refused := make(chan error, 1)
		begun, written := 0, 0
		long := record(1)
		long.Reason = strings.Repeat("x", 1000)
		var results []chan error
		for begun < 2*bytes/1000 {
			begun++
			if drop {
				if err := l.Write(long); err != nil {
					t.Fatalf("record %d: %v", begun, err)
				}
				continue
			}
			result := make(chan error, 1)
			results = append(results, result)
			wg.Go(func() {
				err := l.Write(long)
				result <- err
				if err != nil {
					select {
					case refused <- err:
					default:
					}
				}
			})
		}
		if !drop {
			if err := <-refused; !errors.Is(err, audit.ErrUnwritten) { // while the disk still hangs
				t.Errorf("beyond the queue: %v", err)
			}
		}
		goOn()
		wg.Wait()
		for _, r := range results {
			if <-r == nil {
				written++
			}
		}
		for n, _ := l.Counts(); n == 0; n, _ = l.Counts() { // until there is room for the end
			runtime.Gosched()
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		n, lost := l.Counts()
		if drop {
			written = begun - int(lost)
		}
		// Of those who wait, some may have come when the disk went on.
		if written == 0 || written >= begun || drop && written > bytes/1000+1 {
			t.Errorf("drop %v: %d of %d records were written", drop, written, begun)
		}
		intact(t, path)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(string(b), `"event":"call"`); got != written {
			t.Errorf("drop %v: %d calls are in the log, and %d are said to be; %d records, %d lost", drop, got, written, n, lost)
		}
		if said := strings.Contains(string(b), fmt.Sprintf(`"event":"dropped","count":%d`, lost)); said != drop {
			t.Errorf("drop %v: the log says how many are missing: %v", drop, said)
		}
	}
}

// TestVanishedUnseen removes the file of a log that nobody writes to.
func TestVanishedUnseen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, audit.Config{Path: path})
	write(t, l, 0, 3)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(path); err == nil {
			break
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("nobody noticed")
		}
	}
	l.Close()
	if r := intact(t, path); r.First != 5 || len(r.Notes) != 2 || !strings.Contains(r.Notes[1], "removed or replaced") {
		t.Errorf("%+v", r)
	}
}

func TestSample(t *testing.T) {
	for permits, want := range map[uint64]int{0: 100, 1: 300, 10: 120} {
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		l, err := audit.Open(audit.Config{Path: path, Permits: permits})
		if err != nil {
			t.Fatal(err)
		}
		write(t, l, 0, 300) // every third is a denial
		l.Close()
		if r := intact(t, path); r.Records != uint64(want)+2 {
			t.Errorf("one permit in %d: %d records, want %d", permits, r.Records-2, want)
		}
	}
}

// TestWriteEach: the records of a batch stand one after the other, and count one by one.
func TestWriteEach(t *testing.T) {
	for permits, want := range map[uint64]uint64{1: 15, 3: 5} {
		first := map[uint64]int{1: 6, 3: 2}[permits] // how often the first item is written
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		l := open(t, audit.Config{Path: path, Permits: permits})
		for range 3 {
			r := record(1)
			if err := l.WriteEach(r, []audit.Item{{Method: "a", Reason: "1"}, {Method: "a", Reason: "1"}, {Method: "b", Reason: "2"}, {Method: "b", Reason: "2"}, {Method: "c", Reason: "3"}}); err != nil {
				t.Fatal(err)
			}
		}
		if r := intact(t, path); r.Records != want+1 {
			t.Errorf("one permit in %d: %d records, want %d", permits, r.Records-1, want)
		}
		if written, _ := l.Counts(); written != want {
			t.Errorf("one permit in %d: %d were written, want %d", permits, written, want)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(b), `"method":"a","reason":"1"`); n != first {
			t.Errorf("one permit in %d: the first item is there %d times, want %d", permits, n, first)
		}
	}
}

func TestConcurrent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, audit.Config{Path: path, Rotate: 20_000})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for i := range 50 {
				if err := l.Write(record(i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	l.Close()
	r := intact(t, path)
	calls := 0
	for e, err := range audit.Entries(path) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Event == "call" {
			calls++
		}
	}
	if calls != 1000 || r.Files < 2 {
		t.Errorf("%d calls, %+v", calls, r)
	}
}

// TestAnyText: whatever a caller asks for, a line is one line of JSON in ASCII.
func TestAnyText(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, audit.Config{Path: path})
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 3000), func(b []byte) string { return string(b) }))
		c := object.Caller{Principal: object.Principal(some.Draw(t, "principal")), Peer: object.Peer{Addr: some.Draw(t, "peer")}}
		if err := l.Write(&audit.Record{Event: "call", Caller: &c, Object: object.ID(some.Draw(t, "object")), Method: object.Method(some.Draw(t, "method"))}); err != nil {
			t.Fatal(err)
		}
	})
	intact(t, path)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		if !json.Valid(line) {
			t.Errorf("not JSON: %s", line)
		}
		if i := bytes.IndexFunc(bytes.TrimSuffix(line, []byte("\n")), func(r rune) bool { return r < ' ' || r > '~' }); i >= 0 {
			t.Errorf("byte %d is not printable ASCII: %q", i, line)
		}
	}
}

// TestFollow follows a log over rotations while it is written: no record is missing.
func TestFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, audit.Config{Path: path, Rotate: 600})
	write(t, l, 0, 5)
	seq, _ := l.Head()
	go func() { // ends with its writes, for which the loop below waits
		for i := range 100 {
			_ = l.Write(record(100 + i))
		}
		_ = l.Note("mark")
	}()
	want := seq
	for e, err := range audit.Follow(t.Context(), path, seq, time.Millisecond) {
		if err != nil {
			t.Fatal(err)
		}
		if want++; e.Seq != want {
			t.Fatalf("record %d after %d", e.Seq, want-1)
		}
		if e.Event == "mark" {
			break
		}
	}
}

// TestFollowSlowly has a log rotate many times between two looks, once while its reader has a
// file open and once while there is none.
func TestFollowSlowly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, audit.Config{Path: path, Rotate: 600})
	write(t, l, 0, 10)
	want := uint64(3)
	for e, err := range audit.Follow(t.Context(), path, want, time.Millisecond) {
		if err != nil {
			t.Fatal(err)
		}
		if want++; e.Seq != want {
			t.Fatalf("record %d after %d", e.Seq, want-1)
		}
		if head, _ := l.Head(); want < head {
			continue
		}
		if want > 30 {
			break
		}
		write(t, l, 10, 30)
	}
}

func TestTimes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, audit.Config{Path: path})
	before := time.Now().Truncate(time.Microsecond)
	write(t, l, 0, 1)
	after := time.Now()
	for e, err := range audit.Entries(path) {
		at, errTime := time.Parse(time.RFC3339Nano, e.Time)
		if err != nil || errTime != nil || e.Event == "call" && (at.Before(before) || at.After(after)) {
			t.Errorf("%+v: %v, %v", e, err, errTime)
		}
	}
}

func TestWriteDoesNotAllocate(t *testing.T) {
	l := open(t, audit.Config{Path: filepath.Join(t.TempDir(), "audit.jsonl")})
	r := record(1)
	write(t, l, 0, 10)
	// A look at the path each second does.
	if n := testing.AllocsPerRun(2000, func() { _ = l.Write(r) }); n >= 1 {
		t.Errorf("writing a record allocates %v times", n)
	}
}

func BenchmarkWrite(b *testing.B) {
	l := open(b, audit.Config{Path: filepath.Join(b.TempDir(), "audit.jsonl"), Rotate: 64 << 20, Keep: 1})
	r := record(1)
	b.Run("alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := l.Write(r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("many", func(b *testing.B) {
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := l.Write(r); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

// TestSeed verifies a log of an earlier day: the format stays readable.
func TestSeed(t *testing.T) {
	b, err := os.ReadFile("testdata/seed.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if r, err := audit.VerifyBytes(b); err != nil || r.Records != 5 || r.Problems != nil || r.Notes != nil {
		t.Errorf("%+v, %v", r, err)
	}
}

func FuzzVerify(f *testing.F) {
	seed, err := os.ReadFile("testdata/seed.jsonl")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add(seed[:len(seed)-5])
	f.Add([]byte("{}\n{\"seq\":1}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := audit.VerifyBytes(b)
		if err == nil && len(r.Problems) == 0 && len(r.Notes) == 0 && r.Records > 0 && r.First != 1 {
			t.Errorf("a log without its beginning is not noted: %+v", r)
		}
	})
}
