package storecall_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/hostcall"
	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/service/store"
	"github.com/hearthhost/hearth/service/store/memory"
	"github.com/hearthhost/hearth/service/store/message"
	"github.com/hearthhost/hearth/service/storecall"
)

// commit is the payload of a commit of one key.
func commit(value string, a *store.Answer) []byte {
	var e link.Encoder
	message.PutBatch(&e, &store.Batch{Writes: []store.Write{
		{Op: store.Put, Key: "k", Value: []byte(value), If: store.AnyVersion},
	}})
	message.PutAnswer(&e, a)
	return e.B
}

// TestObjectOfTheHost commits and reads as two objects. The object comes from the host, so each has its state.
func TestObjectOfTheHost(t *testing.T) {
	s := storecall.New(&memory.Engine{}, func(object.ID) store.Limits { return store.Limits{} })
	for _, id := range []object.ID{"acme.a", "acme.a:key", "zoo.a"} {
		from := hostcall.From{Tenant: id.Tenant(), Object: id}
		if _, err := s.Handle(t.Context(), from, link.StoreCommit, commit(`"`+string(id)+`"`, nil)); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []object.ID{"acme.a", "acme.a:key", "zoo.a", "acme.b"} {
		var e link.Encoder
		e.Text("k")
		r, err := s.Handle(t.Context(), hostcall.From{Object: id}, link.StoreGet, e.B)
		it := message.ItemFields(&link.Decoder{B: r.Payload})
		want := `"` + string(id) + `"`
		if id == "acme.b" {
			want = ""
		}
		if err != nil || string(it.Value) != want {
			t.Errorf("%s reads %s, %v, want %s", id, it.Value, err, want)
		}
	}
}

// TestBrokenProtocol sends ops that no worker sends. Each ends the worker, and nothing is stored.
func TestBrokenProtocol(t *testing.T) {
	engine := &memory.Engine{}
	s := storecall.New(engine, func(object.ID) store.Limits { return store.Limits{} })
	done := &store.Answer{State: store.Done, Payload: []byte("reply")}
	good := commit("1", nil)
	for name, tc := range map[string]struct {
		op      link.Op
		payload []byte
	}{
		"unknown op":                 {99, good},
		"op 0":                       {0, nil},
		"get without a key":          {link.StoreGet, nil},
		"half a range":               {link.StoreList, []byte{1, 'a'}},
		"half a batch":               {link.StoreCommit, good[:len(good)-2]},
		"a long count":               {link.StoreCommit, []byte{0, 255, 255, 255, 255, 15}},
		"not JSON":                   {link.StoreCommit, commit("x", nil)},
		"answer without a key":       {link.StoreCommit, commit("1", done)},
		"commit without an answer":   {link.StoreCommit, good[:len(good)-1]},
		"a value that is not UTF-8":  {link.StoreCommit, commit("\"\xff\"", nil)},
		"a value with a second one":  {link.StoreCommit, commit("1 2", nil)},
		"a value with unknown $tags": {link.StoreCommit, commit(`{"$x": 1}`, nil)},
	} {
		_, err := s.Handle(t.Context(), hostcall.From{Object: "acme.a"}, tc.op, tc.payload)
		if !errors.Is(err, hostcall.ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if u, _ := engine.Usage(t.Context(), "acme"); u.Keys != 0 {
		t.Errorf("%d keys are stored", u.Keys)
	}
}

// FuzzHandle sends payloads of a hostile worker. None causes a panic.
func FuzzHandle(f *testing.F) {
	f.Add(uint8(link.StoreCommit), commit(`{"a": 1}`, nil))
	f.Add(uint8(link.StoreList), []byte{0, 0, 0, 0, 10})
	f.Add(uint8(link.StoreGet), []byte{1, 'k'})
	s := storecall.New(&memory.Engine{}, func(object.ID) store.Limits { return store.Limits{} })
	f.Fuzz(func(t *testing.T, op uint8, payload []byte) {
		from := hostcall.From{Object: "acme.a", Once: &object.Once{Key: "k"}}
		_, _ = s.Handle(t.Context(), from, link.Op(op), payload)
	})
}

// TestAnswers reads stored answers. A key with other arguments, and a call whose reply is not stored, are errors.
func TestAnswers(t *testing.T) {
	engine := &memory.Engine{}
	s := storecall.New(engine, func(object.ID) store.Limits { return store.Limits{} })
	call := func(key string, sum byte) *object.Call {
		return &object.Call{
			ID:     "acme.a",
			Caller: object.Caller{Principal: "user:a"},
			Once:   &object.Once{Key: key, Sum: [32]byte{sum}},
		}
	}
	for key, a := range map[string]*store.Answer{
		"done":    {State: store.Done, Payload: []byte("reply")},
		"begun":   {State: store.Begun},
		"dropped": {State: store.Dropped},
	} {
		c := call(key, 1)
		from := hostcall.From{Object: c.ID, Caller: c.Caller, Once: c.Once}
		if _, err := s.Handle(t.Context(), from, link.StoreCommit, commit("1", a)); err != nil {
			t.Fatal(err)
		}
	}
	answers := storecall.Answers(engine)
	r, found, err := answers.Answer(t.Context(), call("done", 1))
	if !found || err != nil || string(r.Payload) != "reply" {
		t.Errorf("%+v, %v, %v", r, found, err)
	}
	if _, found, err := answers.Answer(t.Context(), call("other", 1)); found || err != nil {
		t.Errorf("a key that was not used: %v, %v", found, err)
	}
	for _, c := range []*object.Call{call("done", 2), call("begun", 1), call("dropped", 1), call("", 1)} {
		if _, found, err := answers.Answer(t.Context(), c); found || err == nil {
			t.Errorf("%+v: %v, %v", c.Once, found, err)
		}
	}
}

// keeper records for how long answers are kept.
type keeper struct {
	memory.Engine
	kept []time.Duration
}

// Commit implements [store.Engine].
func (k *keeper) Commit(ctx context.Context, b *store.Batch) (store.Result, error) {
	k.kept = append(k.kept, b.Answer.TTL)
	return k.Engine.Commit(ctx, b)
}

// TestKeep: a call can require that its answer is kept for another time than a day.
func TestKeep(t *testing.T) {
	engine := new(keeper)
	s := storecall.New(engine, func(object.ID) store.Limits { return store.Limits{} })
	for i, keep := range []time.Duration{0, time.Hour} {
		from := hostcall.From{Object: "acme.a", Once: &object.Once{Key: string(rune('a' + i)), Keep: keep}}
		payload := commit("1", &store.Answer{State: store.Done})
		if _, err := s.Handle(t.Context(), from, link.StoreCommit, payload); err != nil {
			t.Fatal(err)
		}
	}
	if want := []time.Duration{store.AnswerTTL, time.Hour}; !slices.Equal(engine.kept, want) {
		t.Errorf("kept for %v, want %v", engine.kept, want)
	}
}
