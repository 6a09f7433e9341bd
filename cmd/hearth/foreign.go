package main

import (
	"fmt"
	"strings"
	"unicode"
)

// foreign makes text that others wrote (docs, error messages, tracebacks) safe to show:
// control and formatting characters but newline and tab are escaped, so that no object
// can drive the terminal of who looks at it.
func foreign(s string) string {
	hostile := func(r rune) bool {
		return r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r))
	}
	if strings.IndexFunc(s, hostile) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if hostile(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
