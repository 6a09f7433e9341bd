package plugins

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins/rpc"
	"github.com/hearthhost/hearth/service/store"
	"github.com/hearthhost/hearth/service/store/memory"
	"github.com/hearthhost/hearth/service/storecall"
)

// storing returns the host's service for a plugin with the objects acme.a and acme.b, and its store. The objects acme.c
// and zoo.a belong to others.
func storing(t *testing.T) (*callbacks, *storecall.DirectStore) {
	t.Helper()
	s := storecall.Direct(&memory.Engine{}, func(object.ID) store.Limits { return store.Limits{ValueBytes: 100} })
	for _, id := range []object.ID{"acme.c", "zoo.a"} {
		if _, err := s.Commit(t.Context(), &store.Batch{
			Object: id,
			Writes: []store.Write{{Op: store.Put, Key: "k", Value: []byte(`"theirs"`), If: store.AnyVersion}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	pr := newProcess(New(Config{ID: "acme.a", Objects: []object.ID{"acme.a", "acme.b"}, Store: s}))
	return &callbacks{pr: pr}, s
}

func get(key string) *rpc.StoreRequest_Get {
	return &rpc.StoreRequest_Get{Get: &rpc.StoreGet{Key: key}}
}

func put(value string, v *int64) *rpc.StoreRequest_Commit {
	return &rpc.StoreRequest_Commit{Commit: &rpc.StoreCommit{Writes: []*rpc.StoreWrite{
		{Op: rpc.StoreOp_STORE_OP_PUT, Key: "k", Value: []byte(value), IfVersion: v},
	}}}
}

// TestStoreOfAnotherObject attacks with the protocol of plugins: a request names a running call only, so a plugin
// reaches the state of the object whose call it runs, and of no other.
func TestStoreOfAnotherObject(t *testing.T) {
	c, s := storing(t)
	ask := func(r *rpc.StoreRequest) *rpc.StoreReply {
		t.Helper()
		reply, err := c.Store(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return reply
	}
	a, _, err := c.pr.begin(&object.Call{ID: "acme.a"})
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := c.pr.begin(&object.Call{ID: "acme.b"})
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range map[uint64]string{a: `"a"`, b: `"b"`} {
		if r := ask(&rpc.StoreRequest{Call: n, Op: put(want, nil)}); r.GetFailure() != nil {
			t.Errorf("put = %v", r)
		}
		if r := ask(&rpc.StoreRequest{Call: n, Op: get("k")}); string(r.GetItems()[0].GetValue()) != want {
			t.Errorf("call %d reads %v, want %s", n, r, want)
		}
	}
	// Keys that look like those of other objects are keys of the own one.
	for _, key := range []string{"acme.c\x00k", "../acme.c/k", "acme.c", "zoo.a:k"} {
		if r := ask(&rpc.StoreRequest{Call: a, Op: get(key)}); r.GetFailure() == nil &&
			r.GetItems()[0].GetVersion() != 0 {
			t.Errorf("%q is %v", key, r)
		}
	}
	c.pr.finish(b, time.Now(), nil)
	for name, r := range map[string]*rpc.StoreRequest{
		"no call":               {Op: get("k")},
		"an ended call":         {Call: b, Op: get("k")},
		"a call of the future":  {Call: b + 1, Op: put("1", nil)},
		"no operation":          {Call: a},
		"not JSON":              {Call: a, Op: put("x", nil)},
		"an unknown tag":        {Call: a, Op: put(`{"$x": 1}`, nil)},
		"two values":            {Call: a, Op: put("1 2", nil)},
		"a long value":          {Call: a, Op: put(`"`+strings.Repeat("x", 100)+`"`, nil)},
		"a negative version":    {Call: a, Op: put("1", new(int64(-1)))},
		"a version far below 0": {Call: a, Op: put("1", new(int64(-1<<62)))},
		"a negative ttl": {Call: a, Op: &rpc.StoreRequest_Commit{Commit: &rpc.StoreCommit{
			Writes: []*rpc.StoreWrite{{Op: rpc.StoreOp_STORE_OP_PUT, Key: "k", Value: []byte("1"), TtlMillis: -1}}}}},
		"an unknown write": {Call: a, Op: &rpc.StoreRequest_Commit{Commit: &rpc.StoreCommit{
			Writes: []*rpc.StoreWrite{{Op: 300, Key: "k", Value: []byte("1")}}}}},
		"no key": {Call: a, Op: &rpc.StoreRequest_Commit{Commit: &rpc.StoreCommit{
			Writes: []*rpc.StoreWrite{{Op: rpc.StoreOp_STORE_OP_DELETE}}}}},
		"too many writes": {Call: a, Op: &rpc.StoreRequest_Commit{Commit: &rpc.StoreCommit{
			Writes: make([]*rpc.StoreWrite, store.MaxWrites+1)}}},
		"a long page": {Call: a, Op: &rpc.StoreRequest_List{List: &rpc.StoreList{Limit: 1 << 31}}},
		"empty get":   {Call: a, Op: &rpc.StoreRequest_Get{}},
		"empty list":  {Call: a, Op: &rpc.StoreRequest_List{}},
	} {
		if reply := ask(r); reply.GetFailure().GetMessage() == "" {
			t.Errorf("%s: %v", name, reply)
		}
	}
	for id, want := range map[object.ID]string{
		"acme.a": `"a"`, "acme.b": `"b"`, "acme.c": `"theirs"`, "zoo.a": `"theirs"`,
	} {
		if it, err := s.Get(t.Context(), id, "k"); string(it.Value) != want || err != nil {
			t.Errorf("%s has %s, %v", id, it.Value, err)
		}
	}
	c.pr.p.cfg.Store = nil
	if reply := ask(&rpc.StoreRequest{Call: a, Op: get("k")}); reply.GetFailure() == nil {
		t.Error("a plugin without a store reads")
	}
}

// slowStore ends its commits with the error that the test sends.
type slowStore struct {
	*storecall.DirectStore
	end chan error
}

func (s *slowStore) Commit(context.Context, *store.Batch) (store.Result, error) {
	return store.Result{}, <-s.end
}

// TestStoreGate has a plugin answer its call while a commit of the call runs, and call another object. Both wait for
// the commit. The answer is replaced if the commit fails, and no operation begins after it.
func TestStoreGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, direct := storing(t)
		slow := &slowStore{DirectStore: direct, end: make(chan error)}
		c.pr.p.cfg.Store = slow
		c.pr.objects = map[object.ID]*object.Description{"acme.a": {ID: "acme.a", Instance: object.Single}}
		called := false
		c.pr.p.cfg.ObjectCall = func(context.Context, object.ID, bool, *object.Call) (object.Reply, error) {
			called = true
			return object.Reply{}, nil
		}
		for _, failure := range []error{nil, object.Errorf(object.CodeUnavailable, "store: the disk; not stored")} {
			n, under, err := c.pr.begin(&object.Call{ID: "acme.a"})
			if err != nil {
				t.Fatal(err)
			}
			commit := func() chan *rpc.StoreReply {
				done := make(chan *rpc.StoreReply, 1)
				go func() {
					reply, _ := c.Store(t.Context(), &rpc.StoreRequest{Call: n, Op: put("1", nil)})
					done <- reply
				}()
				synctest.Wait()
				return done
			}
			called = false
			first := commit()
			go func() {
				_, _ = c.Proxy(t.Context(), &rpc.ProxyRequest{
					Call: n, Object: "acme.c", Kind: rpc.Kind_KIND_INVOKE, Serializer: "json",
				})
			}()
			synctest.Wait()
			if called {
				t.Error("the other object was called before the commit")
			}
			slow.end <- nil
			<-first
			synctest.Wait()
			if !called {
				t.Error("the other object was not called after the commit")
			}
			second := commit()
			answered := make(chan error, 1)
			go func() { answered <- c.pr.gate(t.Context(), under, true) }()
			synctest.Wait()
			select {
			case err := <-answered:
				t.Errorf("the answer has left before the commit: %v", err)
			default:
			}
			if late := <-commit(); late.GetFailure() == nil {
				t.Error("a commit began after the answer")
			}
			slow.end <- failure
			<-second
			err = <-answered
			if (err == nil) != (failure == nil) || err != nil && !strings.Contains(err.Error(), "not stored") {
				t.Errorf("the answer after %v: %v", failure, err)
			}
			c.pr.finish(n, time.Now(), nil)
		}
		// A call that ends meanwhile has an unknown outcome.
		n, under, err := c.pr.begin(&object.Call{ID: "acme.a"})
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = c.Store(t.Context(), &rpc.StoreRequest{Call: n, Op: put("1", nil)}) }()
		synctest.Wait()
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.pr.gate(over, under, true); err == nil || !strings.Contains(err.Error(), "stored: unknown") {
			t.Errorf("the answer of a cancelled call: %v", err)
		}
		slow.end <- nil
	})
}
