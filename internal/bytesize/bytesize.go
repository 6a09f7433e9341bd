// Package bytesize formats and parses sizes in bytes, with the units KiB, MiB and GiB.
package bytesize

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// units are the units from the largest to the smallest.
var units = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// Parse reads a size in the notation of policies, such as "64MiB": digits and a unit. A size without a unit is
// an error, as is one above the largest int64.
func Parse(s string) (int64, error) {
	for _, u := range units {
		digits, found := strings.CutSuffix(s, u.name)
		if !found {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 63)
		if err != nil || int64(n) > (1<<63-1)/u.bytes {
			break
		}
		return int64(n) * u.bytes, nil
	}
	return 0, errors.New("not a size: write 64MiB; units are B, KiB, MiB and GiB")
}

// Format returns n in the notation of policies, exactly: in the largest unit that divides it. n must not be
// negative.
func Format(n int64) string {
	for _, u := range units {
		if n%u.bytes == 0 && n >= u.bytes {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return "0B"
}

// Text returns n for messages and tables, such as "64 MiB" or "1.23 GiB": three significant digits, or "n bytes"
// below 1 KiB.
func Text[N int64 | uint64](n N) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d bytes", n)
	}
	const prefixes = "KMGTPE"
	v, i := float64(n)/(1<<10), 0
	for ; v >= 999.5 && i < len(prefixes)-1; i++ {
		v /= 1 << 10
	}
	return fmt.Sprintf("%.3g %ciB", v, prefixes[i])
}
