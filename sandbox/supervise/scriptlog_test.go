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
)

// TestLogLines: an object logs as many lines a second as it may, whatever its worker lets
// through, and what was left out, there and here, is counted.
func TestLogLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		spent := new(procstat.Processes)
		tenant := New(Config{Tenant: "acme", Account: spent, Log: slog.New(slog.NewTextHandler(&out, nil))},
			NewVersion("acme.o", Script{File: "acme/o.lua"}, NewLibs(nil), object.Limits{LogLines: 3}))
		p := &process{t: tenant, known: map[object.ID]time.Duration{"acme.o": time.Second}, logged: map[object.ID]*lines{}}
		for range 10 {
			p.logScript("info", "acme.o", "a line")
			p.logScript("info", "acme.stranger", "a stranger's")
		}
		p.leftOut("acme.o", 5)
		p.leftOut("acme.stranger", 5)
		if n := strings.Count(out.String(), "a line"); n != 3 || strings.Contains(out.String(), "stranger") {
			t.Errorf("%d lines are logged, want 3, and none of an object that the worker has not:\n%s", n, &out)
		}
		time.Sleep(time.Second)
		p.logScript("info", "acme.o", "a line")
		if !strings.Contains(out.String(), "dropped=12 per_second=3") || strings.Count(out.String(), "a line") != 4 {
			t.Errorf("in the next second: want 12 dropped, and the line:\n%s", &out)
		}
		if n := spent.Spent().LogDropped; n != 12 {
			t.Errorf("the account has %d dropped lines, want 12", n)
		}
	})
}
