package bytesize_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/hearthhost/hearth/internal/bytesize"
)

func TestParse(t *testing.T) {
	for s, want := range map[string]int64{
		"0B": 0, "1B": 1, "64KiB": 64 << 10, "64MiB": 64 << 20, "3GiB": 3 << 30, "007MiB": 7 << 20,
		"8589934591GiB": 8589934591 << 30,
	} {
		if got, err := bytesize.Parse(s); got != want || err != nil {
			t.Errorf("Parse(%q) = %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "64", "MiB", "-1MiB", "+1MiB", "1.5MiB", "1 MiB", "1mib", "1MB", "8589934592GiB",
		"18446744073709551616B", "0x1MiB", "1_0MiB"} {
		if got, err := bytesize.Parse(s); err == nil {
			t.Errorf("Parse(%q) = %d, want an error", s, got)
		}
	}
}

func TestFormat(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0B", 1: "1B", 1023: "1023B", 1 << 10: "1KiB", 1<<20 + 1: "1048577B", 3 << 20: "3MiB", 1536 << 20: "1536MiB",
		2 << 30: "2GiB", math.MaxInt64: "9223372036854775807B",
	} {
		if got := bytesize.Format(n); got != want {
			t.Errorf("Format(%d) = %q, want %q", n, got, want)
		}
	}
}

// TestParseReadsFormat: Format is exact, and Parse reads its result.
func TestParseReadsFormat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, math.MaxInt64).Draw(t, "n")
		if got, err := bytesize.Parse(bytesize.Format(n)); got != n || err != nil {
			t.Fatalf("Parse(Format(%d)) = %d, %v", n, got, err)
		}
	})
}

func TestText(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0 bytes", 1023: "1023 bytes", 1 << 10: "1 KiB", 1536: "1.5 KiB", 64 << 20: "64 MiB",
		1000 << 10: "0.977 MiB",
		999 << 10:  "999 KiB", 2048 << 20: "2 GiB", math.MaxUint64: "16 EiB",
	} {
		if got := bytesize.Text(n); got != want {
			t.Errorf("Text(%d) = %q, want %q", n, got, want)
		}
	}
}
