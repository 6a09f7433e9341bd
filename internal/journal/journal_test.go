package journal

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

// newText creates the handler of text lines.
func newText(w io.Writer, o *slog.HandlerOptions) slog.Handler { return slog.NewTextHandler(w, o) }

// newJSON creates the handler of JSON lines.
func newJSON(w io.Writer, o *slog.HandlerOptions) slog.Handler { return slog.NewJSONHandler(w, o) }

// logged returns the lines that a handler writes to a pipe. JOURNAL_STREAM names the inode of the pipe plus shift,
// and the journal listens at socket.
func logged(t *testing.T, format Format, shift uint64, socket string) string {
	t.Helper()
	before := socketPath
	socketPath = socket
	defer func() { socketPath = before }()
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
	t.Setenv(envStream, fmt.Sprintf("%d:%d", st.Dev, st.Ino+shift))
	if got := Connected(w); got != (shift == 0) {
		t.Errorf("Connected() = %t with the inode shifted by %d", got, shift)
	}
	log := NewLogger(w, w, slog.HandlerOptions{Level: slog.LevelDebug}, format).With("tenant", "acme")
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
	if got := logged(t, newText, 0, "none"); got != want {
		t.Errorf("text:\n%s\nwant:\n%s", got, want)
	}
	want = `<3>{"level":"ERROR","msg":"one","tenant":"acme","err":"two\nlines"}
<4>{"level":"WARN","msg":"two","tenant":"acme"}
<6>{"level":"INFO","msg":"three","tenant":"acme","g":{"time":"mine"}}
<7>{"level":"DEBUG","msg":"four","tenant":"acme"}
`
	if got := logged(t, newJSON, 0, "none"); got != want {
		t.Errorf("json:\n%s\nwant:\n%s", got, want)
	}
	// Another stream is not the journal, though the variable names a journal's stream: its lines have a time.
	if got := logged(t, newText, 1, "none"); !strings.HasPrefix(got, "time=") {
		t.Errorf("another stream: %s", got)
	}
}

// TestJournalFields: a record is an entry whose fields are the attributes. An entry that the socket does not receive
// is written to the stream, and not lost.
func TestJournalFields(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	l, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := logged(t, newText, 0, path); got != "" {
		t.Errorf("the stream holds %q, want nothing: the socket has it", got)
	}
	one := "MESSAGE=level=ERROR msg=one tenant=acme err=\"two\\nlines\"\nPRIORITY=3\n" +
		"SYSLOG_IDENTIFIER=hearth\nHEARTH_TENANT=acme\nHEARTH_ERR\n\x09\x00\x00\x00\x00\x00\x00\x00two\nlines\n"
	three := "MESSAGE=level=INFO msg=three tenant=acme g.time=mine\nPRIORITY=6\n" +
		"SYSLOG_IDENTIFIER=hearth\nHEARTH_TENANT=acme\nHEARTH_G_TIME=mine\n"
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
	before := socketPath
	socketPath = path
	defer func() { socketPath = before }()
	log := slog.New(NewHandler(&stream, slog.HandlerOptions{}, newText))
	log.Info("large", "text", strings.Repeat("x", 4<<20), slog.Group("g", "n", 1))
	got := stream.String()
	if !strings.HasPrefix(got, "<6>level=INFO msg=large text=xxx") || !strings.HasSuffix(got, " g.n=1\n") {
		t.Errorf("the stream holds %.60q…, want the entry that is too large for the socket", got)
	}
}
