package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/service/store"
	"github.com/hearthhost/hearth/service/store/memory"
	"github.com/hearthhost/hearth/service/store/sqlite"
)

// newEngine returns an engine for a folder of the test.
func newEngine(t testing.TB, cfg sqlite.Config) *sqlite.Engine {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	e, err := sqlite.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// model compares the engine with the one in memory. Both have the same clock.
type model struct {
	dir  string
	now  time.Time
	last time.Time // greatest now
	got  *sqlite.Engine
	want *memory.Engine
}

func (m *model) clock() time.Time { return m.now }

// pass sets the clock.
func (m *model) pass(now time.Time) {
	m.now = now
	if now.After(m.last) {
		m.last = now
	}
}

// readAll reads from every store, so that each has seen the same time.
func (m *model) readAll(t *rapid.T) {
	m.want.Clock.Millis()
	for _, id := range []object.ID{"acme.a", "zoo.a", "bank.a"} {
		if _, err := m.got.Get(context.Background(), id, "a"); err != nil {
			t.Fatal(err)
		}
	}
}

func (m *model) close(t *rapid.T) {
	if err := m.got.Close(); err != nil {
		t.Fatal(err)
	}
}

// open opens the engine, as a new process does.
func (m *model) open(t *rapid.T) {
	var err error
	if m.got, err = sqlite.New(sqlite.Config{Dir: m.dir, Clock: m.clock, MaxOpen: 2}); err != nil {
		t.Fatal(err)
	}
}

var (
	objects = rapid.SampledFrom([]object.ID{"acme.a", "acme.b", "acme.b:x", "zoo.a", "zoo.c", "bank.a"})
	keys    = rapid.SampledFrom([]string{"a", "a/1", "a/2", "b", "é", "日本", "z\U0010ffff", "a\x01"})
	texts   = rapid.SampledFrom([]string{`1`, `"x"`, `{"a": [1, 2]}`, `-9007199254740992`, `9007199254740991`, `1.5`})
	ttls    = rapid.SampledFrom([]time.Duration{0, 0, time.Millisecond, time.Second, time.Hour})
	deltas  = rapid.SampledFrom([]int64{1, -1, 5, store.MaxInteger, -store.MaxInteger - 1})
)

// version returns a version that a key has, has had, or never had.
func (m *model) version(t *rapid.T, id object.ID, key string) int64 {
	it, err := m.want.Get(context.Background(), id, key)
	if err != nil {
		t.Fatal(err)
	}
	versions := []int64{store.AnyVersion, store.AnyVersion, it.Version, it.Version, 0, 3}
	return rapid.SampledFrom(versions).Draw(t, "version")
}

// TestModel runs random operations on the engine and on the one in memory, with restarts, clocks that go forward and
// back, and more tenants than open files. Results and states are equal.
func TestModel(t *testing.T) {
	n := 0
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		n++
		m := &model{dir: fmt.Sprint(dir, "/", n)}
		m.pass(time.Unix(1_800_000_000, 0))
		m.want = &memory.Engine{Clock: store.Clock{Now: m.clock}}
		m.want.Clock.Millis() // as the other engine does
		m.open(t)
		defer func() { _ = m.got.Close() }()
		t.Repeat(map[string]func(*rapid.T){
			"commit":  m.commit,
			"answer":  m.commitAnswer,
			"get":     m.get,
			"list":    m.list,
			"objects": m.objects,
			"time": func(t *rapid.T) {
				steps := []time.Duration{-time.Hour, time.Millisecond, time.Second, time.Hour}
				m.pass(m.now.Add(rapid.SampledFrom(steps).Draw(t, "pass")))
				m.readAll(t) // both engines have seen each step
			},
			"restart": func(t *rapid.T) {
				if rapid.IntRange(0, 3).Draw(t, "really") > 0 {
					return // it takes long
				}
				m.readAll(t)
				m.close(t)
				if rapid.Bool().Draw(t, "back") { // while no process runs
					m.pass(m.now.Add(-time.Hour))
				}
				m.open(t)
				m.readAll(t) // a store sees a step back when it is opened
			},
			"release": func(t *rapid.T) {
				if err := m.got.Release(objects.Draw(t, "of").Tenant()); err != nil {
					t.Fatal(err)
				}
			},
		})
	})
}

func (m *model) batch(t *rapid.T) *store.Batch {
	b := &store.Batch{
		Object: objects.Draw(t, "object"),
		Limits: store.Limits{
			ObjectBytes: rapid.SampledFrom([]int64{0, 0, 0, 300}).Draw(t, "quota"),
			TenantBytes: rapid.SampledFrom([]int64{0, 0, 0, 500}).Draw(t, "tenant"),
		},
	}
	for range rapid.IntRange(0, 4).Draw(t, "writes") {
		key := keys.Draw(t, "key")
		w := store.Write{
			Op:  rapid.SampledFrom([]store.Op{store.Put, store.Put, store.Delete, store.Increment}).Draw(t, "op"),
			Key: key,
			If:  m.version(t, b.Object, key),
		}
		switch w.Op {
		case store.Put:
			w.Value, w.TTL = []byte(texts.Draw(t, "value")), ttls.Draw(t, "ttl")
		case store.Increment:
			w.Delta = deltas.Draw(t, "delta")
		case store.Delete:
		}
		b.Writes = append(b.Writes, w)
	}
	if rapid.IntRange(0, 4).Draw(t, "checks") == 0 {
		key := keys.Draw(t, "key")
		b.Checks = append(b.Checks, store.Check{Key: key, Version: max(0, m.version(t, b.Object, key))})
	}
	return b
}

func (m *model) commit(t *rapid.T) { m.run(t, m.batch(t)) }

func (m *model) commitAnswer(t *rapid.T) {
	b := m.batch(t)
	b.Answer = &store.Answer{
		Call:  store.CallKey{Principal: "user:a", Key: rapid.SampledFrom([]string{"1", "2"}).Draw(t, "call")},
		Sum:   [32]byte{byte(rapid.IntRange(0, 1).Draw(t, "sum"))},
		State: rapid.SampledFrom([]store.AnswerState{store.Begun, store.Done, store.Dropped}).Draw(t, "state"),
		TTL:   ttls.Draw(t, "kept") + time.Millisecond,
	}
	if b.Answer.State == store.Done {
		b.Answer.Payload = []byte("reply")
	}
	m.run(t, b)
	got, found, err := m.got.Answer(context.Background(), b.Object, b.Answer.Call)
	want, expect, _ := m.want.Answer(context.Background(), b.Object, b.Answer.Call)
	diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(store.Answer{}, "TTL"))
	if diff != "" || found != expect || err != nil {
		t.Fatalf("Answer: %v, %v, want %v (-want +got):\n%s", err, found, expect, diff)
	}
}

func (m *model) run(t *rapid.T, b *store.Batch) {
	got, err := m.got.Commit(context.Background(), b)
	want, expect := m.want.Commit(context.Background(), b)
	if got.Room <= want.Room { // keys that have expired take room until they are removed
		got.Room = want.Room
	}
	if text(err) != text(expect) || !cmp.Equal(got, want, cmpopts.EquateEmpty()) {
		t.Fatalf("Commit(%+v) = %+v, %v; want %+v, %v", b, got, err, want, expect)
	}
}

func text(err error) string {
	var e *object.Error
	if errors.As(err, &e) {
		return fmt.Sprint(e.Code, e.Class, e.Msg)
	}
	return fmt.Sprint(err)
}

func (m *model) get(t *rapid.T) {
	id, key := objects.Draw(t, "object"), keys.Draw(t, "key")
	got, err := m.got.Get(context.Background(), id, key)
	want, _ := m.want.Get(context.Background(), id, key)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Fatalf("Get(%s, %q): %v (-want +got):\n%s", id, key, err, diff)
	}
}

func (m *model) list(t *rapid.T) {
	id := objects.Draw(t, "object")
	bound := rapid.OneOf(rapid.Just(""), keys)
	r := store.Range{
		Prefix:  rapid.SampledFrom([]string{"", "a", "a/", "日", "z\U0010ffff"}).Draw(t, "prefix"),
		After:   bound.Draw(t, "after"),
		Before:  bound.Draw(t, "before"),
		Reverse: rapid.Bool().Draw(t, "reverse"),
		Limit:   rapid.IntRange(1, 5).Draw(t, "limit"),
	}
	got, more, err := m.got.List(context.Background(), id, r)
	want, expect, _ := m.want.List(context.Background(), id, r)
	if diff := cmp.Diff(want, got); diff != "" || more != expect || err != nil {
		t.Fatalf("List(%s, %+v): %v, more %v, want %v (-want +got):\n%s", id, r, err, more, expect, diff)
	}
}

func (m *model) objects(t *rapid.T) {
	tenant, after := objects.Draw(t, "object").Tenant(), objects.Draw(t, "after")
	m.pass(m.last.Add(2 * time.Second)) // then the next commit removes the keys that have expired
	if _, err := m.got.Commit(context.Background(), &store.Batch{Object: object.ID(tenant) + ".a"}); err != nil {
		t.Fatal(err)
	}
	got, err := m.got.Objects(context.Background(), tenant, after, 2)
	want, _ := m.want.Objects(context.Background(), tenant, after, 2)
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
		t.Fatalf("Objects(%s, %s): %v (-want +got):\n%s", tenant, after, err, diff)
	}
	u, err := m.got.Usage(context.Background(), tenant)
	w, _ := m.want.Usage(context.Background(), tenant)
	u.File = 0
	if u != w || err != nil {
		t.Fatalf("Usage(%s) = %+v, %v; want %+v", tenant, u, err, w)
	}
}
