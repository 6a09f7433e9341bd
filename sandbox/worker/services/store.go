package services

import (
	"context"
	"fmt"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/service/store"
	"github.com/hearthhost/hearth/service/store/message"
)

// durable uses the durable state of objects through the host. It implements [services.Store].
type durable struct {
	calls *hostCalls
	locks locks
}

// Lock implements [services.Store]. All calls of an object run in one worker process.
func (s *durable) Lock(ctx context.Context, id object.ID, shared bool) error {
	return s.locks.lock(ctx, id, shared)
}

// Unlock implements [services.Store].
func (s *durable) Unlock(id object.ID, shared bool) { s.locks.unlock(id, shared) }

// do requests an op and returns the fields of its reply.
func (s *durable) do(ctx context.Context, id object.ID, op link.Op, put func(*link.Encoder)) (*link.Decoder, error) {
	c := s.calls.begin(link.HostCallHead{Object: id, Request: requestOf(ctx), Service: link.Store, Op: op})
	put(&c.frame)
	reply, err := s.calls.wait(ctx, c)
	if err != nil {
		return nil, err
	}
	return &link.Decoder{B: reply.Payload}, nil
}

// checked returns the error of a malformed reply.
func checked(d *link.Decoder) error {
	if d.Err != nil {
		return fmt.Errorf("store: the host's reply: %w", d.Err)
	}
	return nil
}

// Get implements [services.Store].
func (s *durable) Get(ctx context.Context, id object.ID, key string) (store.Item, error) {
	d, err := s.do(ctx, id, link.StoreGet, func(e *link.Encoder) { e.Text(key) })
	if err != nil {
		return store.Item{}, err
	}
	it := message.ItemFields(d)
	it.Key = key
	return it, checked(d)
}

// List implements [services.Store].
func (s *durable) List(ctx context.Context, id object.ID, r store.Range) (items []store.Item, more bool, err error) {
	d, err := s.do(ctx, id, link.StoreList, func(e *link.Encoder) { message.PutRange(e, &r) })
	if err != nil {
		return nil, false, err
	}
	items, more = message.PageFields(d)
	return items, more, checked(d)
}

// Commit implements [services.Store].
func (s *durable) Commit(ctx context.Context, b *store.Batch) (store.Result, error) {
	d, err := s.do(ctx, b.Object, link.StoreCommit, func(e *link.Encoder) {
		message.PutBatch(e, b)
		message.PutAnswer(e, b.Answer)
	})
	if err != nil {
		return store.Result{}, err
	}
	r := message.ResultFields(d)
	return r, checked(d)
}

// Settle implements [services.Store].
func (s *durable) Settle(ctx context.Context, id object.ID) error {
	_, err := s.do(ctx, id, link.StoreSettle, func(*link.Encoder) {})
	return err
}
