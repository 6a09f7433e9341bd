package audit_test

import (
	"path/filepath"
	"testing"

	"github.com/hearthhost/hearth/audit"
	"github.com/hearthhost/hearth/audit/trail"
)

// TestReadWhileRotating reads a log again and again while it is written and rotates all the time,
// and old files are removed or kept: no record is missing or reported as missing.
func TestReadWhileRotating(t *testing.T) {
	for name, keep := range map[string]int{"kept": 0, "removed": 2} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.jsonl")
			l := open(t, audit.Config{Path: path, Rotate: 1500, Keep: keep})
			write(t, l, 0, 20)
			seen, _ := l.Head()
			done := make(chan struct{})
			go func() { // ends with its writes, for which the loop below waits
				defer close(done)
				for i := range 60 {
					_ = l.Write(record(i))
				}
			}()
			end := uint64(0)
			for more := true; more && !t.Failed(); {
				select {
				case <-done:
					more = false // but once more, for the end
					end, _ = l.Head()
				default:
				}
				r := intact(t, path)
				if r.Last < seen || keep == 0 && r.First != 1 || r.Records != r.Last-r.First+1 {
					t.Errorf("verified, with %d records read before: %+v", seen, r)
				}
				seen = r.Last
				last := uint64(0)
				for e, err := range trail.Entries(path) {
					if err != nil {
						t.Fatal(err)
					}
					if keep == 0 && e.Seq != last+1 || e.Seq <= last {
						t.Fatalf("record %d follows %d", e.Seq, last)
					}
					last = e.Seq
				}
				if last < seen {
					t.Errorf("read up to record %d, with %d read before", last, seen)
				}
				seen = last
			}
			<-done
			if seen < end && !t.Failed() { // the kept record may come later
				t.Errorf("the last record read is %d, want %d", seen, end)
			}
		})
	}
}
