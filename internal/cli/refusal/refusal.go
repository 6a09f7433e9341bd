// Package refusal prints the files that a host rejects, or would reject, with reasons.
//
// hearth reload, hearth serve --check and hearth doctor print the same lines with it. A note is a refusal without
// effect yet: it is printed, and does not count as a fault. Tenants choose the names of files, so every line is
// escaped.
package refusal

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/hearthhost/hearth/host/fault"
	"github.com/hearthhost/hearth/internal/cli/display"
)

// Faults returns the number of refusals that are no notes.
func Faults(refused []fault.Refusal) int {
	n := 0
	for _, r := range refused {
		if !r.Note {
			n++
		}
	}
	return n
}

// Print prints a line for each refusal, with the object or the file in front.
func Print(out io.Writer, refused []fault.Refusal) error {
	for _, r := range refused {
		name := string(r.ID)
		if name == "" {
			name = r.Path
		}
		if _, err := fmt.Fprintln(out, Line(r, name)); err != nil {
			return err
		}
	}
	return nil
}

// Line returns the line for a rejected file. Tenants choose names of files, which may contain newlines.
func Line(r fault.Refusal, name string) string {
	line := r.Err
	if name != "" && !strings.HasPrefix(line, name+":") && !(filepath.IsAbs(name) && strings.Contains(line, name)) {
		line = name + ": " + strings.TrimPrefix(line, name+" ")
	}
	if r.Note {
		line = "note: " + line
	}
	return display.Indent(line)
}
