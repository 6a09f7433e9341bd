package web_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// command is a command of a transcript with its output.
type command struct{ line, output string }

// transcripts returns the commands in the blocks "console" of a page.
func transcripts(t *testing.T, page string) (all []command) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	inside := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		cmd, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case line == "```console":
			inside = true
		case line == "```":
			inside = false
		case !inside:
		case isCommand:
			all = append(all, command{line: cmd})
		case len(all) > 0 && strings.HasSuffix(all[len(all)-1].line, "\\"):
			all[len(all)-1].line = strings.TrimSuffix(all[len(all)-1].line, "\\") + line
		default:
			all[len(all)-1].output += line + "\n"
		}
	}
	return all
}

// TestTranscripts runs the commands of doc/http.md in order and compares their outputs.
func TestTranscripts(t *testing.T) {
	all := transcripts(t, "../../doc/http.md")
	if len(all) < 3 {
		t.Fatalf("%d commands in doc/http.md", len(all))
	}
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("SKIPPED: the commands of doc/http.md were not run: no curl (apt-get install curl)")
	}
	f := serveScripts(t, map[string]string{
		"acme/counter.lua": scripts["acme/counter.lua"],
		"acme/echo.lua":    scripts["acme/echo.lua"],
	}, "", rules)
	for _, c := range all {
		line := strings.ReplaceAll(c.line, "http://127.0.0.1:7780", f.url)
		cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent"}
		out, err := cmd.CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != strings.TrimSpace(c.output) {
			t.Errorf("$ %s\n%s\n%v; want\n%s", c.line, got, err, c.output)
		}
	}
}
