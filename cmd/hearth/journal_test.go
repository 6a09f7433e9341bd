package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
)

// logged returns what a log on a pipe holds after some lines, with JOURNAL_STREAM naming
// that pipe or, shifted, another.
func logged(t *testing.T, format string, shift uint64) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	info, err := w.Stat()
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	t.Setenv(envJournal, fmt.Sprintf("%d:%d", st.Dev, st.Ino+shift))
	f := serveFlags{logFormat: format, logLevel: "debug"}
	log, err := f.logger(w)
	if err != nil {
		t.Fatal(err)
	}
	log = log.With("tenant", "acme")
	log.Error("one", "err", errors.New("two\nlines"))
	log.Warn("two")
	log.WithGroup("g").Info("three", "time", "mine")
	log.Debug("four")
	w.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestJournal(t *testing.T) {
	want := `<3>level=ERROR msg=one tenant=acme err="two\nlines"
<4>level=WARN msg=two tenant=acme
<6>level=INFO msg=three tenant=acme g.time=mine
<7>level=DEBUG msg=four tenant=acme
`
	if got := logged(t, "text", 0); got != want {
		t.Errorf("text:\n%s\nwant:\n%s", got, want)
	}
	want = `<3>{"level":"ERROR","msg":"one","tenant":"acme","err":"two\nlines"}
<4>{"level":"WARN","msg":"two","tenant":"acme"}
<6>{"level":"INFO","msg":"three","tenant":"acme","g":{"time":"mine"}}
<7>{"level":"DEBUG","msg":"four","tenant":"acme"}
`
	if got := logged(t, "json", 0); got != want {
		t.Errorf("json:\n%s\nwant:\n%s", got, want)
	}
	for line := range strings.Lines(logged(t, "text", 1)) {
		if !strings.HasPrefix(line, "time=") {
			t.Errorf("another stream is taken for the journal: %s", line)
		}
	}
}
