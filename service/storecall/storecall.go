// Package storecall is the service through which running objects use their durable state.
//
// The worker process sends keys and values. The object whose state they belong to is that of the host's own table of
// running calls, so a worker reaches the state of no object that it does not run.
package storecall

import (
	"cmp"
	"context"
	"fmt"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/hostcall"
	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/service/store"
	"github.com/hearthhost/hearth/service/store/message"
	"github.com/hearthhost/hearth/service/store/value"
)

// New returns the service of an engine. limits returns the limits of an object and its tenant. It may be called
// concurrently.
func New(engine store.Engine, limits func(object.ID) store.Limits) hostcall.Service {
	return &service{engine, limits}
}

type service struct {
	engine store.Engine
	limits func(object.ID) store.Limits
}

// ID implements [hostcall.Service].
func (*service) ID() link.Service { return link.Store }

// Handle implements [hostcall.Service].
func (s *service) Handle(
	ctx context.Context, from hostcall.From, op link.Op, payload []byte,
) (link.ServiceReply, error) {
	d := &link.Decoder{B: payload}
	var e link.Encoder
	var err error
	switch op {
	case link.StoreGet:
		err = s.get(ctx, from.Object, d, &e)
	case link.StoreList:
		err = s.list(ctx, from.Object, d, &e)
	case link.StoreCommit:
		err = s.commit(ctx, from, d, &e)
	case link.StoreSettle:
		err = s.engine.Settle(ctx, from.Object)
	default:
		err = fmt.Errorf("%w: op %d of the store", hostcall.ErrProtocol, op)
	}
	if d.Err != nil {
		err = fmt.Errorf("%w: op %d of the store: %w", hostcall.ErrProtocol, op, d.Err)
	}
	return link.ServiceReply{Payload: e.B}, err
}

func (s *service) get(ctx context.Context, id object.ID, d *link.Decoder, e *link.Encoder) error {
	key := d.Text()
	if d.Err != nil {
		return d.Err
	}
	it, err := s.engine.Get(ctx, id, key)
	message.PutItem(e, &it)
	return err
}

func (s *service) list(ctx context.Context, id object.ID, d *link.Decoder, e *link.Encoder) error {
	r := message.RangeFields(d)
	if d.Err != nil {
		return d.Err
	}
	items, more, err := s.engine.List(ctx, id, r)
	message.PutPage(e, items, more)
	return err
}

func (s *service) commit(ctx context.Context, from hostcall.From, d *link.Decoder, e *link.Encoder) error {
	b, err := s.batch(from, d)
	if err != nil {
		return err
	}
	r, err := s.engine.Commit(ctx, b)
	message.PutResult(e, &r)
	return err
}

// Start implements [hostcall.Starter] for commits to a store that is open.
func (s *service) Start(
	ctx context.Context, from hostcall.From, op link.Op, payload []byte, done func(link.ServiceReply, error),
) bool {
	engine, ok := s.engine.(store.Beginner)
	if !ok || op != link.StoreCommit {
		return false
	}
	b, err := s.batch(from, &link.Decoder{B: payload})
	return err == nil && engine.Begin(ctx, b, func(r store.Result, err error) {
		var e link.Encoder
		message.PutResult(&e, &r)
		done(link.ServiceReply{Payload: e.B}, err)
	})
}

// batch returns the batch of a message, after its check.
func (s *service) batch(from hostcall.From, d *link.Decoder) (*store.Batch, error) {
	b := message.BatchFields(d)
	b.Answer = message.AnswerFields(d)
	if d.Err != nil {
		return nil, d.Err
	}
	b.Object, b.Limits = from.Object, s.limits(from.Object)
	switch {
	case b.Answer == nil:
	case from.Once == nil:
		return nil, fmt.Errorf("%w: an answer of a call without idempotency key", hostcall.ErrProtocol)
	default:
		b.Answer.Call = store.CallKey{Principal: from.Caller.Principal, Key: from.Once.Key}
		b.Answer.Sum, b.Answer.TTL = from.Once.Sum, cmp.Or(from.Once.Keep, store.AnswerTTL)
	}
	if err := b.Check(); err != nil {
		return nil, err
	}
	for i := range b.Writes {
		if w := &b.Writes[i]; w.Op == store.Put && !value.Valid(w.Value) {
			return nil, fmt.Errorf("%w: a value that is not JSON", hostcall.ErrProtocol)
		}
	}
	return b, nil
}
