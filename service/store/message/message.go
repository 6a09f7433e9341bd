// Package message encodes the operations of the store on the link between a worker and the host.
//
// A message has no object and no caller: the host takes both from its own tables. Sizes are bounded by the link's
// frames; the limits of package store are checked by the engine.
package message

import (
	"time"

	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/service/store"
)

// PutItem appends an item without its key.
func PutItem(e *link.Encoder, it *store.Item) {
	e.Uint(uint64(it.Version))
	e.Uint(uint64(it.Expires))
	e.Text(string(it.Value))
}

// ItemFields reads the fields of PutItem. The value aliases the body.
func ItemFields(d *link.Decoder) (it store.Item) {
	it.Version = int64(d.Uint())
	it.Expires = int64(d.Uint())
	it.Value = d.Bytes()
	if it.Version == 0 {
		it.Value = nil // the key is missing
	}
	return it
}

// PutRange appends a range.
func PutRange(e *link.Encoder, r *store.Range) {
	e.Text(r.Prefix)
	e.Text(r.After)
	e.Text(r.Before)
	e.Bool(r.Reverse)
	e.Uint(uint64(r.Limit))
}

// RangeFields reads the fields of PutRange.
func RangeFields(d *link.Decoder) (r store.Range) {
	r.Prefix = d.Text()
	r.After = d.Text()
	r.Before = d.Text()
	r.Reverse = d.Bool()
	r.Limit = int(d.Uint())
	return r
}

// PutPage appends the items of a range.
func PutPage(e *link.Encoder, items []store.Item, more bool) {
	e.Bool(more)
	e.Uint(uint64(len(items)))
	for i := range items {
		e.Text(items[i].Key)
		PutItem(e, &items[i])
	}
}

// PageFields reads the fields of PutPage. The values alias the body.
func PageFields(d *link.Decoder) (items []store.Item, more bool) {
	more = d.Bool()
	for range d.Count() {
		key := d.Text()
		it := ItemFields(d)
		it.Key = key
		items = append(items, it)
	}
	return items, more
}

// PutBatch appends the checks and writes of a batch.
func PutBatch(e *link.Encoder, b *store.Batch) {
	e.Uint(uint64(len(b.Checks)))
	for _, c := range b.Checks {
		e.Text(c.Key)
		e.Uint(uint64(c.Version))
	}
	e.Uint(uint64(len(b.Writes)))
	for i := range b.Writes {
		w := &b.Writes[i]
		e.Byte(byte(w.Op))
		e.Text(w.Key)
		e.Uint(uint64(w.If + 1))
		switch w.Op {
		case store.Put:
			e.Uint(uint64(w.TTL))
			e.Text(string(w.Value))
		case store.Increment:
			putSigned(e, w.Delta)
		case store.Delete:
		}
	}
}

// BatchFields reads the fields of PutBatch. The values alias the body.
func BatchFields(d *link.Decoder) *store.Batch {
	b := &store.Batch{}
	for range d.Count() {
		b.Checks = append(b.Checks, store.Check{Key: d.Text(), Version: int64(d.Uint())})
	}
	n := d.Count()
	b.Writes = make([]store.Write, 0, min(n, store.MaxWrites))
	for range n {
		w := store.Write{Op: store.Op(d.Byte()), Key: d.Text(), If: int64(d.Uint()) - 1}
		switch w.Op {
		case store.Put:
			w.TTL = time.Duration(d.Uint())
			w.Value = d.Bytes()
		case store.Increment:
			w.Delta = signed(d)
		case store.Delete:
		}
		if d.Err != nil {
			return b
		}
		b.Writes = append(b.Writes, w)
	}
	return b
}

// PutAnswer appends the fields of an answer that the worker sets, or nil.
func PutAnswer(e *link.Encoder, a *store.Answer) {
	if a == nil {
		e.Byte(0)
		return
	}
	e.Byte(byte(a.State))
	e.Bool(a.Exception)
	e.Text(string(a.Payload))
}

// AnswerFields reads the fields of PutAnswer. The payload aliases the body.
func AnswerFields(d *link.Decoder) *store.Answer {
	state := store.AnswerState(d.Byte())
	if state == 0 {
		return nil
	}
	return &store.Answer{State: state, Exception: d.Bool(), Payload: d.Bytes()}
}

// PutResult appends the result of a commit.
func PutResult(e *link.Encoder, r *store.Result) {
	e.Uint(uint64(r.Room))
	e.Uint(uint64(len(r.Integers)))
	for _, n := range r.Integers {
		putSigned(e, n)
	}
}

// ResultFields reads the fields of PutResult.
func ResultFields(d *link.Decoder) (r store.Result) {
	r.Room = int64(d.Uint())
	for range d.Count() {
		r.Integers = append(r.Integers, signed(d))
	}
	return r
}

// putSigned appends an integer so that small ones take one byte.
func putSigned(e *link.Encoder, n int64) { e.Uint(uint64(n)<<1 ^ uint64(n>>63)) }

func signed(d *link.Decoder) int64 {
	u := d.Uint()
	return int64(u>>1) ^ -int64(u&1)
}
