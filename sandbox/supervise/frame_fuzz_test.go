package supervise

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// FuzzFrame plays a worker that was taken over and says what it likes: the host neither fails
// nor believes it anything of an object that is not its own, and every call is answered once.
func FuzzFrame(f *testing.F) {
	var e link.Encoder
	body := func(put func()) []byte {
		e.Begin(0, 0)
		put()
		return append([]byte(nil), e.Frame()[13:]...)
	}
	f.Add(uint8(link.Reply), uint64(1), body(func() { e.PutReply(object.Reply{Payload: []byte("x")}, true, nil) }))
	f.Add(uint8(link.Reply), uint64(1), body(func() { e.PutReply(object.Reply{}, false, object.Errorf(object.CodeRaised, "why")) }))
	f.Add(uint8(link.Described), uint64(1), []byte{})
	f.Add(uint8(link.Log), uint64(0), body(func() { e.Text("acme.x"); e.Text("warn"); e.Raw([]byte("line\n")) }))
	f.Add(uint8(link.Log), uint64(0), body(func() { e.Text("other.x"); e.Text("warn"); e.Raw([]byte("line")) }))
	f.Add(uint8(link.Proxy), uint64(3), body(func() { e.Text("acme.x"); e.Bool(true); e.PutCall(&object.Call{ID: "other.y", Payload: []byte("p")}) }))
	f.Add(uint8(link.Proxy), uint64(3), body(func() { e.Text("other.x"); e.Bool(true); e.PutCall(&object.Call{ID: "other.y"}) }))
	f.Add(uint8(link.Cancel), uint64(3), []byte{})
	f.Add(uint8(99), uint64(0), []byte{1})
	f.Fuzz(func(t *testing.T, typ uint8, id uint64, body []byte) {
		asked := make(chan object.ID, 1)
		proxy := func(_ context.Context, from object.ID, _ bool, _ *object.Call) (object.Reply, error) {
			asked <- from
			return object.Reply{}, nil
		}
		w := &pending{answer: make(chan struct{}, 1)}
		p := &process{t: New(Config{Tenant: "acme", Proxy: proxy}), out: link.NewWriter(io.Discard), ctx: t.Context(),
			proxies: make(chan struct{}, 1), pending: map[uint64]*pending{1: w}, asked: map[uint64]context.CancelFunc{},
			known: map[object.ID]time.Duration{"acme.x": time.Second}, logged: map[object.ID]*lines{}}
		err := p.frame(link.Type(typ), id, body)
		if answered := len(w.answer) == 1; answered != (p.pending[1] == nil) {
			t.Errorf("answered: %v, and the call waits: %v", answered, p.pending[1] != nil)
		}
		for from := range p.logged {
			if from != "acme.x" {
				t.Errorf("a line of %q was taken", from)
			}
		}
		if link.Type(typ) != link.Proxy || err != nil {
			return
		}
		select {
		case from := <-asked:
			if from != "acme.x" {
				t.Errorf("a call of %q was made", from)
			}
		case <-time.After(10 * time.Second):
			t.Error("a call of a script was neither made nor refused")
		}
	})
}

// TestLinesAreBounded: a worker that was taken over cannot fill the host's log by long lines.
func TestLinesAreBounded(t *testing.T) {
	var log bytes.Buffer
	p := &process{t: New(Config{Tenant: "acme", Log: slog.New(slog.NewTextHandler(&log, nil))}),
		known: map[object.ID]time.Duration{"acme.x": time.Second}, logged: map[object.ID]*lines{}}
	var e link.Encoder
	e.Begin(link.Log, 0)
	e.Text("acme.x")
	e.Text("warn")
	e.Raw(bytes.Repeat([]byte("x"), 1<<20))
	if err := p.frame(link.Log, 0, e.Frame()[13:]); err != nil {
		t.Fatal(err)
	}
	if n := log.Len(); n < maxScriptLine || n > maxScriptLine+1000 {
		t.Errorf("the log has %d bytes of it, want about %d", n, maxScriptLine)
	}
}
