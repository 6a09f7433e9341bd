package evidence_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/audit/evidence"
)

// line returns a record of the log with a hash that no reader of this package checks.
func line(seq int, fields string) []byte {
	return fmt.Appendf(nil, `{"seq":%d,"time":"2026-01-02T03:04:05.000000Z",%s,"hash":"%064d"}`, seq, fields, 0)
}

// TestSelection: denials are kept, of permits only the first of its kind, and rotations not at all.
func TestSelection(t *testing.T) {
	k := evidence.NewSet()
	const permit = `"event":"call","decision":"permit","principal":"bob","object":"acme.tool","method":"run"`
	k.Add(line(1, `"event":"open","why":"rotation"`))
	k.Add(line(2, permit))
	k.Add(line(3, permit))
	k.Add(line(4, `"event":"call","decision":"deny","principal":"bob","object":"acme.tool","method":"run"`))
	k.Add(line(4, `"event":"call","decision":"deny","principal":"bob","object":"acme.tool","method":"run"`))
	k.Add([]byte("not a record"))
	path := filepath.Join(t.TempDir(), "kept.jsonl")
	sum, err := evidence.Write(path, k.Records())
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	kept := string(b)
	if strings.Count(kept, "\n") != 2 || !strings.Contains(kept, `"seq":2,`) || !strings.Contains(kept, `"seq":4,`) {
		t.Errorf("want records 2 and 4:\n%s", kept)
	}
	again := evidence.NewSet()
	if read, err := again.Read(path); err != nil || read != sum || len(again.Records()) != 2 {
		t.Errorf("reading: sum %s, %v, %d records; want %s and 2", read, err, len(again.Records()), sum)
	}
}

// TestShares: a principal with many denials takes its own share of the file and no more.
func TestShares(t *testing.T) {
	k := evidence.NewSet()
	k.Add(line(1, `"event":"call","decision":"deny","principal":"alice","object":"acme.tool"`))
	for seq := 2; seq < 5000; seq++ {
		denial := fmt.Sprintf(`"event":"call","decision":"deny","principal":"mallory","object":"acme.tool%d"`, seq)
		k.Add(line(seq, denial))
	}
	path := filepath.Join(t.TempDir(), "kept.jsonl")
	if _, err := evidence.Write(path, k.Records()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), `"principal":"alice"`) {
		t.Error("alice's denial is missing")
	}
	if len(b) > 2*evidence.MaxShare || len(b) < evidence.MaxShare/2 {
		t.Errorf("%d bytes, want about %d", len(b), evidence.MaxShare)
	}
}
