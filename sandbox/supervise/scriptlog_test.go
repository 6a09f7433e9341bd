package supervise

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

// TestLogLines sends more log lines than the limit per second, as a compromised worker does. The host logs lines up to
// the limit and counts the lines that it or the worker has dropped.
func TestLogLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		spent := new(procstat.Processes)
		tenant := New(Config{Tenant: "acme", Account: spent, Log: slog.New(slog.NewTextHandler(&out, nil))},
			NewVersion("acme.o", Script{File: "acme/o.lua"}, NewLibs(nil), object.Limits{LogLines: 3}))
		p := &process{
			t:            tenant,
			maxDurations: map[object.ID]time.Duration{"acme.o": time.Second},
			logged:       map[object.ID]*lineCount{},
		}
		send := func(id object.ID, op link.Op, put func(e *link.Encoder)) error {
			var e link.Encoder
			e.Begin(link.HostCall, 0)
			e.PutHostCall(link.HostCallHead{Object: id, Service: link.Log, Op: op})
			put(&e)
			return p.frame(link.HostCall, 0, e.Frame()[13:])
		}
		line := func(text string) func(e *link.Encoder) {
			return func(e *link.Encoder) { e.PutLogLine(link.LevelInfo, text) }
		}
		dropped := func(e *link.Encoder) { e.Uint(5) }
		for range 10 {
			if err := send("acme.o", link.LogLine, line("a line")); err != nil {
				t.Fatal(err)
			}
		}
		if err := send("acme.o", link.LogDropped, dropped); err != nil {
			t.Fatal(err)
		}
		if send("acme.stranger", link.LogLine, line("a stranger's")) == nil ||
			send("acme.stranger", link.LogDropped, dropped) == nil {
			t.Error("a worker may log for an object that it does not have")
		}
		if n := strings.Count(out.String(), "a line"); n != 3 || strings.Contains(out.String(), "stranger") {
			t.Errorf("%d lines are logged, want 3, and none of other objects:\n%s", n, &out)
		}
		time.Sleep(time.Second)
		if err := send("acme.o", link.LogLine, line("a line")); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "dropped=12 per_second=3") || strings.Count(out.String(), "a line") != 4 {
			t.Errorf("in the next second: want 12 dropped, and the line:\n%s", &out)
		}
		if n := spent.Spent().LogDropped; n != 12 {
			t.Errorf("the account has %d dropped lines, want 12", n)
		}
	})
}
