package plugins

import (
	"context"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins/rpc"
	"github.com/hearthhost/hearth/service/store"
)

// Store is the durable state of objects. Its methods check sizes, quotas and values. They are safe for concurrent use.
type Store interface {
	Get(ctx context.Context, id object.ID, key string) (store.Item, error)
	List(ctx context.Context, id object.ID, r store.Range) (items []store.Item, more bool, err error)
	// Commit returns when the batch is durable. It sets the limits of the batch.
	Commit(ctx context.Context, b *store.Batch) (store.Result, error)
	// Settle waits for the commits of an object that have begun.
	Settle(ctx context.Context, id object.ID) error
}

// maxStoreOps bounds the running operations of a plugin on its objects' state.
const maxStoreOps = 256

// Store runs an operation on the state of the object whose call is running, according to the host's record.
func (c *callbacks) Store(ctx context.Context, r *rpc.StoreRequest) (*rpc.StoreReply, error) {
	select {
	case c.pr.storeOps <- struct{}{}:
		defer func() { <-c.pr.storeOps }()
	default: // reject instead of queueing requests of a plugin
		return storeFailed(object.Errorf(object.CodeExhausted,
			"limit exceeded: %d operations of the store; not stored", maxStoreOps)), nil
	}
	under, err := c.pr.enterStore(r.GetCall())
	if err != nil {
		return storeFailed(err), nil
	}
	reply, err := c.store(ctx, under, r)
	c.pr.leaveStore(under, err)
	if err != nil {
		return storeFailed(err), nil
	}
	return reply, nil
}

// store runs an operation on the state of the object of a call.
func (c *callbacks) store(ctx context.Context, under *running, r *rpc.StoreRequest) (*rpc.StoreReply, error) {
	s, id := c.pr.p.cfg.Store, under.call.ID
	if s == nil {
		return nil, object.Errorf(object.CodeUnavailable, "store: this object has no durable state here; not stored")
	}
	if err := c.pr.settle(ctx, s, id); err != nil {
		return nil, err
	}
	switch op := r.GetOp().(type) {
	case *rpc.StoreRequest_Get:
		it, err := s.Get(ctx, id, op.Get.GetKey())
		if err != nil {
			return nil, err
		}
		it.Key = op.Get.GetKey()
		return &rpc.StoreReply{Items: storeItems([]store.Item{it})}, nil
	case *rpc.StoreRequest_List:
		l := op.List
		items, more, err := s.List(ctx, id, store.Range{
			Prefix:  l.GetPrefix(),
			After:   l.GetAfter(),
			Before:  l.GetBefore(),
			Reverse: l.GetReverse(),
			Limit:   int(min(l.GetLimit(), store.MaxPage+1)),
		})
		if err != nil {
			return nil, err
		}
		return &rpc.StoreReply{Items: storeItems(items), More: more}, nil
	case *rpc.StoreRequest_Commit:
		b, err := batchOf(under.call, op.Commit)
		if err != nil {
			return nil, err
		}
		result, err := s.Commit(ctx, b)
		if err != nil {
			return nil, err
		}
		if b.Answer != nil && b.Answer.State != store.Begun {
			c.pr.setStored(under)
		}
		return &rpc.StoreReply{Integers: result.Integers}, nil
	}
	return nil, object.Errorf(object.CodeInvalid, "store: unknown operation; not stored")
}

// storeItems returns the message of items. A missing key has no value.
func storeItems(items []store.Item) []*rpc.StoreItem {
	out := make([]*rpc.StoreItem, len(items))
	for i := range items {
		out[i] = &rpc.StoreItem{Key: items[i].Key, Value: items[i].Value, Version: items[i].Version}
	}
	return out
}

// answerOf returns the answer of a call. Which call it is comes from the host's record.
func answerOf(call *object.Call, m *rpc.StoreAnswer) (*store.Answer, error) {
	if call.Once == nil {
		return nil, object.Errorf(object.CodeInvalid,
			"store: an answer of a call without an idempotency key; not stored")
	}
	return &store.Answer{
		Call:      store.CallKey{Principal: call.Caller.Principal, Key: call.Once.Key},
		Sum:       call.Once.Sum,
		State:     store.AnswerState(min(max(m.GetState(), 0), 255)),
		Exception: m.GetException(),
		Payload:   m.GetPayload(),
		TTL:       store.AnswerTTL,
	}, nil
}

// batchOf returns the batch of a message, whose limits are not checked.
func batchOf(call *object.Call, m *rpc.StoreCommit) (*store.Batch, error) {
	if n := len(m.GetWrites()) + len(m.GetChecks()); n > store.MaxWrites {
		return nil, object.Errorf(object.CodeTooLarge, "store: %d operations in one call, at most %d; not stored", n,
			store.MaxWrites)
	}
	b := &store.Batch{Object: call.ID}
	if m.GetAnswer() != nil {
		var err error
		if b.Answer, err = answerOf(call, m.GetAnswer()); err != nil {
			return nil, err
		}
	}
	for _, c := range m.GetChecks() {
		b.Checks = append(b.Checks, store.Check{Key: c.GetKey(), Version: c.GetVersion()})
	}
	for _, w := range m.GetWrites() {
		one := store.Write{
			Op:    store.Op(min(max(w.GetOp(), 0), 255)),
			Key:   w.GetKey(),
			Value: w.GetValue(),
			Delta: w.GetDelta(),
			If:    store.AnyVersion,
		}
		if w.IfVersion != nil {
			one.If = max(w.GetIfVersion(), store.AnyVersion-1) // a negative version is rejected
			if one.If == store.AnyVersion {
				one.If--
			}
		}
		ttl := w.GetTtlMillis()
		if ttl < 0 || ttl > store.MaxTTL.Milliseconds() {
			return nil, object.Errorf(object.CodeInvalid,
				"store: ttl is %d ms, must be at most 100 years; not stored", ttl)
		}
		one.TTL = time.Duration(ttl) * time.Millisecond
		b.Writes = append(b.Writes, one)
	}
	return b, nil
}

// storeFailed returns the reply for a failed operation.
func storeFailed(err error) *rpc.StoreReply {
	return &rpc.StoreReply{Failure: failed(err).GetFailure()}
}

// running is a call that the plugin runs. The lock is that of its process.
type running struct {
	call     *object.Call
	ops      int           // operations of the store that it runs
	idle     chan struct{} // closed when ops is 0 again; nil: no goroutine waits
	answered bool          // the plugin has answered; no operation can begin
	lost     error         // of an operation that was running then and has failed
	stored   bool          // the answer of the call, which has an idempotency key, is stored
}

func (pr *process) setStored(under *running) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	under.stored = true
}

// stored reports whether the answer of a call is stored.
func (pr *process) stored(under *running) bool {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	return under.stored
}

// errOver is the answer to a request for a call that has ended.
var errOver = object.Errorf(object.CodeInvalid, "the surrounding call has ended")

// enterStore begins an operation for a running call.
func (pr *process) enterStore(n uint64) (*running, error) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	under := pr.calls[n]
	if under == nil || under.answered {
		return nil, errOver
	}
	under.ops++
	return under, nil
}

// leaveStore ends an operation.
func (pr *process) leaveStore(under *running, err error) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	under.ops--
	if err != nil && under.answered {
		under.lost = err
	}
	if under.ops == 0 && under.idle != nil {
		close(under.idle)
		under.idle = nil
	}
}

// gate waits for the operations of a call, so that nothing leaves the object before the writes before it are durable.
// last means that the call is over: then no further operation can begin, and the error is that of an operation that the
// plugin has not awaited.
func (pr *process) gate(ctx context.Context, under *running, last bool) error {
	pr.mu.Lock()
	under.answered = under.answered || last
	for under.ops > 0 {
		if under.idle == nil {
			under.idle = make(chan struct{})
		}
		idle := under.idle
		pr.mu.Unlock()
		select {
		case <-idle:
		case <-ctx.Done():
			return object.Errorf(object.CodeOf(ctx.Err()),
				"store: the call ended while its state was written; stored: unknown")
		}
		pr.mu.Lock()
	}
	defer pr.mu.Unlock()
	if !last || under.lost == nil {
		return nil
	}
	e := object.AsError(under.lost)
	return object.Errorf(e.Code, "%s; the call was executed in part", e.Msg)
}

// settle waits, before the first operation on an object's state, for the commits of an earlier process of the plugin.
func (pr *process) settle(ctx context.Context, s Store, id object.ID) error {
	pr.mu.Lock()
	settled := pr.settled[id]
	pr.mu.Unlock()
	if settled {
		return nil
	}
	if err := s.Settle(ctx, id); err != nil {
		return err
	}
	pr.mu.Lock()
	pr.settled[id] = true
	pr.mu.Unlock()
	return nil
}
