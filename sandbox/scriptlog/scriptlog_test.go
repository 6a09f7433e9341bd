package scriptlog

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hearthhost/hearth/internal/procstat"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// newLog returns a log with a limit of 3 lines, and its output.
func newLog() (*Log, *bytes.Buffer, *procstat.Processes) {
	out, spent := new(bytes.Buffer), new(procstat.Processes)
	return New(Config{
		Out:     slog.New(slog.NewTextHandler(out, nil)),
		Account: spent,
		Redact:  func(text string) string { return strings.ReplaceAll(text, "hunter2", "***") },
		Lines:   func(object.ID) int { return 3 },
	}), out, spent
}

// op passes an op about acme.o to the log, as the reader does.
func op(l *Log, op link.Op, put func(e *link.Encoder)) error {
	var e link.Encoder
	e.Begin(link.HostCall, 0)
	put(&e)
	return l.Op("acme.o", op, &link.Decoder{B: e.Frame()[13:]})
}

func line(text string) func(e *link.Encoder) {
	return func(e *link.Encoder) { e.PutLogLine(link.LevelInfo, text) }
}

// TestLogLines sends more log lines than the limit per second, as a compromised worker does. The host logs lines up to
// the limit and counts the lines that it or the worker has dropped.
func TestLogLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, out, spent := newLog()
		for range 10 {
			if err := op(l, link.LogLine, line("a line")); err != nil {
				t.Fatal(err)
			}
		}
		if err := op(l, link.LogDropped, func(e *link.Encoder) { e.Uint(5) }); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(out.String(), "a line"); n != 3 {
			t.Errorf("%d lines are logged, want 3:\n%s", n, out)
		}
		time.Sleep(time.Second)
		if err := op(l, link.LogLine, line("a line")); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "dropped=12 per_second=3") || strings.Count(out.String(), "a line") != 4 {
			t.Errorf("in the next second: want 12 dropped, and the line:\n%s", out)
		}
		if n := spent.Spent().LogDropped; n != 12 {
			t.Errorf("the account has %d dropped lines, want 12", n)
		}
	})
}

// TestFailedCalls logs more failed calls than the limit. They do not displace lines of scripts, and Close reports the
// dropped lines.
func TestFailedCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, out, spent := newLog()
		c := &object.Call{ID: "acme.o", Kind: object.Invoke, Method: "m", Corr: [16]byte{9}}
		c.Caller.Principal = "alice"
		l.Failed(c, "the password is hunter2")
		c.Kind = object.Batch
		for range 4 {
			l.Failed(c, "no")
		}
		if err := op(l, link.LogLine, line("a line")); err != nil {
			t.Fatal(err)
		}
		l.Close()
		got := out.String()
		for part, n := range map[string]int{
			`object=acme.o method=m principal=alice call=`: 1,
			`err="the password is ***"`:                    1,
			`method="a batch"`:                             2,
			"hunter2":                                      0,
			"a line":                                       1,
			"dropped=2 per_second=3":                       1,
		} {
			if strings.Count(got, part) != n {
				t.Errorf("%q is logged %d times, want %d:\n%s", part, strings.Count(got, part), n, got)
			}
		}
		if n := spent.Spent().LogDropped; n != 2 {
			t.Errorf("the account has %d dropped lines, want 2", n)
		}
	})
}

// TestReports takes every other op, and ops that no worker sends.
func TestReports(t *testing.T) {
	l, out, spent := newLog()
	text := func(e *link.Encoder) { e.Raw([]byte("state: hunter2")) }
	if err := op(l, link.LogLost, text); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), `why="state: ***"`) || spent.Spent().StatesLost != 1 {
		t.Errorf("a lost instance: %+v\n%s", spent.Spent(), out)
	}
	out.Reset()
	nothing := func(*link.Encoder) {}
	if err := op(l, link.LogUnload, nothing); err != nil || out.Len() > 0 || spent.Spent().Unloaded != 1 {
		t.Errorf("an unloaded instance: %v, %+v\n%s", err, spent.Spent(), out)
	}
	for name, err := range map[string]error{
		"an unknown op":          op(l, 99, nothing),
		"a failure":              op(l, link.LogFailure, nothing),
		"a line without a level": op(l, link.LogLine, nothing),
		"an unknown level":       op(l, link.LogLine, func(e *link.Encoder) { e.PutLogLine(99, "x") }),
		"no number":              op(l, link.LogDropped, nothing),
	} {
		if err == nil || out.Len() > 0 {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
