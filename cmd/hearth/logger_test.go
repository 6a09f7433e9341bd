package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestLoggerOfJournal: lines on the journal's stream begin with a priority. Lines on another stream have a time,
// though a variable of the environment names a journal's stream.
func TestLoggerOfJournal(t *testing.T) {
	for shift, want := range map[uint64]string{0: "<6>level=INFO msg=one", 1: "time="} {
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
		t.Setenv("JOURNAL_STREAM", fmt.Sprintf("%d:%d", st.Dev, st.Ino+shift))
		f := serveFlags{logFormat: "text", logLevel: "info"}
		log, err := f.logger(w)
		if err != nil {
			t.Fatal(err)
		}
		log.Info("one")
		w.Close()
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		// Where this machine has a journal, its socket receives the entry and the stream stays empty.
		if _, err := os.Stat("/run/systemd/journal/socket"); err == nil && shift == 0 {
			continue
		}
		if !strings.HasPrefix(string(text), want) {
			t.Errorf("inode shifted by %d: %q, want %q", shift, text, want)
		}
	}
}
