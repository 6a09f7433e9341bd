package main

import (
	"context"
	"errors"
	"iter"

	"github.com/hearthhost/hearth/plugins/sdk"
)

// box uses its durable state. Its field counts the calls of Count in memory.
type box struct{ n int64 }

func (*box) Put(ctx context.Context, key string, v any) (bool, error) {
	return sdk.StoreOf(ctx).Put(key, v)
}

func (*box) PutIf(ctx context.Context, key string, v any, version int64) (bool, error) {
	return sdk.StoreOf(ctx).Put(key, v, sdk.IfVersion(version))
}

func (*box) Get(ctx context.Context, key string) (v any, err error) {
	_, _, err = sdk.StoreOf(ctx).Get(key, &v)
	return v, err
}

func (*box) Version(ctx context.Context, key string) (int64, error) {
	_, version, err := sdk.StoreOf(ctx).Get(key, nil)
	return version, err
}

func (*box) Delete(ctx context.Context, key string) error { return sdk.StoreOf(ctx).Delete(key) }

func (*box) Add(ctx context.Context, key string, n int64) (int64, error) {
	return sdk.StoreOf(ctx).Increment(key, n)
}

// Keys writes two keys of a range and deletes one, and lists the range before that is committed.
func (*box) Keys(ctx context.Context, prefix string, reverse bool, limit int) ([]string, error) {
	s := sdk.StoreOf(ctx)
	_, err := s.Put(prefix+"150x", true)
	_, err2 := s.Put(prefix+"x", true)
	if err = errors.Join(err, err2, s.Delete(prefix+"151")); err != nil {
		return nil, err
	}
	var keys []string
	for it, err := range s.List(sdk.Range{Prefix: prefix, Reverse: reverse, Limit: limit}) {
		if err != nil {
			return nil, err
		}
		keys = append(keys, it.Key)
	}
	return keys, sdk.Raise("ValueError", keys) // nothing is stored
}

// Fail writes a key and raises an exception.
func (*box) Fail(ctx context.Context, key string) error {
	if _, err := sdk.StoreOf(ctx).Put(key, "failed"); err != nil {
		return err
	}
	return sdk.Raise("ValueError", "no")
}

// Count counts in memory and in the store.
func (b *box) Count(ctx context.Context) ([]int64, error) {
	b.n++
	n, err := sdk.StoreOf(ctx).Increment("count", 1)
	return []int64{b.n, n}, err
}

// Relay writes a key, calls another object, and writes another key.
func (*box) Relay(ctx context.Context, id string) (any, error) {
	s := sdk.StoreOf(ctx)
	if _, err := s.Put("before", 1); err != nil {
		return nil, err
	}
	v, err := sdk.Call(ctx, id, "see")
	if err != nil {
		return nil, err
	}
	_, err = s.Put("after", 1)
	return v, err
}

// Transfer moves n between two keys. It fails after the writes if a key would be negative.
func (*box) Transfer(ctx context.Context, from, to string, n int64) (int64, error) {
	s := sdk.StoreOf(ctx)
	var sum int64
	err := s.Transaction(func() error {
		var a, b int64
		_, _, err := s.Get(from, &a)
		_, _, err2 := s.Get(to, &b)
		_, err3 := s.Put(from, a-n)
		_, err4 := s.Put(to, b+n)
		if a < n {
			return sdk.Raise("ValueError", "too little")
		}
		sum = a + b
		return errors.Join(err, err2, err3, err4)
	})
	return sum, err
}

// Inside calls another object within a transaction.
func (*box) Inside(ctx context.Context, id string) error {
	return sdk.StoreOf(ctx).Transaction(func() error {
		_, err := sdk.Call(ctx, id, "see")
		return err
	})
}

// Items writes a key with each item.
func (*box) Items(ctx context.Context, n int) iter.Seq2[int64, error] {
	return func(yield func(int64, error) bool) {
		for range n {
			v, err := sdk.StoreOf(ctx).Increment("items", 1)
			if !yield(v, err) {
				return
			}
		}
	}
}

// Big writes n bytes.
func (*box) Big(ctx context.Context, n int) error {
	_, err := sdk.StoreOf(ctx).Put("big", make([]byte, n))
	return err
}

func boxOf(mode sdk.Mode, name string) *sdk.Object {
	return sdk.New(mode, "", func() *box { return new(box) }).Named(name).
		Method("put", (*box).Put, "", "key", "v").Method("put_if", (*box).PutIf, "").Method("get", (*box).Get, "").
		Method("version", (*box).Version, "").Method("delete", (*box).Delete, "").Method("add", (*box).Add, "").
		Method("keys", (*box).Keys, "").Method("fail", (*box).Fail, "").Method("count", (*box).Count, "").
		Method("relay", (*box).Relay, "").Method("transfer", (*box).Transfer, "").
		Method("inside", (*box).Inside, "").Method("items", (*box).Items, "").Method("big", (*box).Big, "")
}
