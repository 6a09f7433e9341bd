package values

import "strings"

// Clip returns the first n bytes of a text for a message, with "…" if it is longer.
func Clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
