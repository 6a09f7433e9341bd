package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// logged returns what a log on a pipe holds after some lines, with JOURNAL_STREAM naming
// that pipe or, shifted, another, and the journal's socket where socket says.
func logged(t *testing.T, format string, shift uint64, socket string) string {
	t.Helper()
	was := journalSocket
	journalSocket = socket
	defer func() { journalSocket = was }()
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
	if got := logged(t, "text", 0, "none"); got != want {
		t.Errorf("text:\n%s\nwant:\n%s", got, want)
	}
	want = `<3>{"level":"ERROR","msg":"one","tenant":"acme","err":"two\nlines"}
<4>{"level":"WARN","msg":"two","tenant":"acme"}
<6>{"level":"INFO","msg":"three","tenant":"acme","g":{"time":"mine"}}
<7>{"level":"DEBUG","msg":"four","tenant":"acme"}
`
	if got := logged(t, "json", 0, "none"); got != want {
		t.Errorf("json:\n%s\nwant:\n%s", got, want)
	}
	for line := range strings.Lines(logged(t, "text", 1, "none")) {
		if !strings.HasPrefix(line, "time=") {
			t.Errorf("another stream is taken for the journal: %s", line)
		}
	}
}

// TestJournalFields: what is logged is an entry whose fields are the attributes. One that the
// socket does not take is a line, and is not lost.
func TestJournalFields(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	l, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := logged(t, "text", 0, path); got != "" {
		t.Errorf("the stream holds %q, want nothing: the socket has it", got)
	}
	one := "MESSAGE=level=ERROR msg=one tenant=acme err=\"two\\nlines\"\nPRIORITY=3\nSYSLOG_IDENTIFIER=hearth\nHEARTH_TENANT=acme\nHEARTH_ERR\n\x09\x00\x00\x00\x00\x00\x00\x00two\nlines\n"
	three := "MESSAGE=level=INFO msg=three tenant=acme g.time=mine\nPRIORITY=6\nSYSLOG_IDENTIFIER=hearth\nHEARTH_TENANT=acme\nHEARTH_G_TIME=mine\n"
	b := make([]byte, 64<<10)
	for i, want := range []string{one, "", three, ""} {
		n, _, err := l.ReadFrom(b)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(b[:n]); want != "" && got != want {
			t.Errorf("entry %d:\n%q\nwant:\n%q", i, got, want)
		}
	}
	var stream bytes.Buffer
	was := journalSocket
	journalSocket = path
	defer func() { journalSocket = was }()
	log := slog.New(newJournal(&stream, slog.HandlerOptions{}, func(w io.Writer, o *slog.HandlerOptions) slog.Handler { return slog.NewTextHandler(w, o) }))
	log.Info("large", "what", strings.Repeat("x", 4<<20), slog.Group("of", "it", 1))
	if got := stream.String(); !strings.HasPrefix(got, "<6>level=INFO msg=large what=xxx") || !strings.HasSuffix(got, " of.it=1\n") {
		t.Errorf("what the socket does not take is %.60q… on the stream", got)
	}
}
