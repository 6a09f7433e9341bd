package logqueue_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/internal/logqueue"
)

// output is a log output that does not return before it is released.
type output struct {
	bytes.Buffer
	entered chan struct{} // receives a token for each line that begins
	release chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	o.entered <- struct{}{}
	<-o.release
	return o.Buffer.Write(p)
}

// TestSlowOutput logs more lines than fit while the output takes none: no caller waits, the lines that fit are written
// in order, and one line reports the others.
func TestSlowOutput(t *testing.T) {
	t.Parallel()
	out := &output{entered: make(chan struct{}, 10_000), release: make(chan struct{})}
	q := logqueue.New()
	log := q.Logger(slog.New(slog.NewTextHandler(out, nil))).With("tenant", "acme")
	log.Info("line", "n", 0)
	<-out.entered
	const dropped = 7
	for i := 1; i <= 4096+dropped; i++ {
		log.Info("line", "n", i)
	}
	log.Debug("not enabled")
	close(out.release)
	q.Close()
	log.Info("after the end")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 4096+2 {
		t.Fatalf("%d lines were written, want %d", len(lines), 4096+2)
	}
	for i, l := range lines[:4097] {
		if want := fmt.Sprintf("msg=line tenant=acme n=%d", i); !strings.HasSuffix(l, want) {
			t.Fatalf("line %d is %s, want %s", i, l, want)
		}
	}
	last := lines[4097]
	if !strings.Contains(last, "dropped") || !strings.Contains(last, fmt.Sprint("lines=", dropped)) {
		t.Errorf("the last line is %s, want a report of %d dropped lines", last, dropped)
	}
}
