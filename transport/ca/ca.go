// Package ca is a small certificate authority.
package ca

import (
	"os"
	"strings"
)

// ReadDenylist reads serial numbers.
func ReadDenylist(path string) (map[string]struct{}, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	out := map[string]struct{}{}
	for _, line := range strings.Split(string(b), "\n") {
		line, _, _ = strings.Cut(line, "#")
		if s := strings.TrimSpace(line); s != "" {
			out[s] = struct{}{}
		}
	}
	return out, nil
}
