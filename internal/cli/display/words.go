package display

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Plural returns "1 thing", "2 things".
func Plural[N int | uint64](n N, what string) string { return Plurals(n, what, what+"s") }

// Plurals is plural for an irregular word.
func Plurals[N int | uint64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Days formats a duration in days.
func Days(d time.Duration) string { return Plural(int(d.Hours()/24), "day") }

// List lists the first elements of a list.
func List[S ~string](list []S) string {
	const most = 6
	out := ""
	for i, s := range list {
		if i == most {
			return fmt.Sprintf("%s and %d more", out, len(list)-most)
		}
		if i > 0 {
			out += ", "
		}
		out += string(s)
	}
	return out
}

// JSON writes indented JSON.
func JSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
