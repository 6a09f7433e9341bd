package trail_test

import (
	"os"
	"testing"

	"github.com/hearthhost/hearth/audit/trail"
)

// TestSeed verifies a log of an earlier day: the format stays readable.
func TestSeed(t *testing.T) {
	b, err := os.ReadFile("testdata/seed.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if r, err := trail.VerifyBytes(b); err != nil || r.Records != 5 || r.Problems != nil || r.Notes != nil {
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
		r, err := trail.VerifyBytes(b)
		if err == nil && len(r.Problems) == 0 && len(r.Notes) == 0 && r.Records > 0 && r.First != 1 {
			t.Errorf("a log without its beginning is not noted: %+v", r)
		}
	})
}
