package apply

import (
	"errors"
	"io"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/service/store"
)

// Import describes keys that are stored together.
type Import struct {
	// Limits returns the limits of an object and of its tenant.
	Limits func(object.ID) store.Limits
	// Next returns the next key of an object of the tenant, [io.EOF] after the last one. The item is valid until the
	// following call. The commits of the tenant wait while it runs.
	Next func() (object.ID, *store.Item, error)
	// Above is at least the version of every item. The keys get new versions, which are greater: a version that was
	// read from the store of which the items come belongs to no other value.
	Above int64
}

// Import applies the keys of an import and counts them.
func (t *Transaction) Import(tenant object.Tenant, in *Import, n *int64) error {
	if in.Above < 0 || in.Above > store.MaxVersion {
		return object.Errorf(object.CodeInvalid, "store: version %d is not a version; not stored", in.Above)
	}
	t.totals.Writes = max(t.totals.Writes, in.Above)
	b, size := &store.Batch{}, 0
	for {
		id, it, err := in.Next()
		end := errors.Is(err, io.EOF)
		switch {
		case end:
		case err != nil:
			return err
		case id.Tenant() != tenant:
			return object.Errorf(object.CodeInvalid, "store: %s is not an object of tenant %s; not stored", id, tenant)
		case store.Expired(it.Expires, t.now):
			continue
		}
		full := len(b.Writes) == store.MaxWrites ||
			!end && size+len(it.Key)+len(it.Value) > store.MaxBatchBytes
		if len(b.Writes) > 0 && (end || full || id != b.Object) {
			if err := t.importBatch(b, in.Limits(b.Object)); err != nil {
				return err
			}
			*n += int64(len(b.Writes))
			b.Writes, size = b.Writes[:0], 0
		}
		if end {
			return nil
		}
		w := store.Write{Op: store.Put, Key: it.Key, Value: append([]byte(nil), it.Value...), If: store.AnyVersion}
		if it.Expires != 0 {
			left := it.Expires - t.now
			if left > store.MaxTTL.Milliseconds() {
				return object.Errorf(object.CodeInvalid, "store: %s of %s expires in more than 100 years; not stored",
					store.Shown(it.Key), id)
			}
			w.TTL = time.Duration(left) * time.Millisecond
		}
		b.Object = id
		b.Writes = append(b.Writes, w)
		size += len(w.Key) + len(w.Value)
	}
}

// importBatch applies a part of an import. It forgets the usage of its object: an import may have millions of objects.
func (t *Transaction) importBatch(b *store.Batch, limits store.Limits) error {
	b.Limits = limits
	if err := b.Check(); err != nil {
		return err
	}
	_, failed, err := t.Apply(b)
	if err == nil {
		err = failed
	}
	if err == nil {
		err = t.Finish()
	}
	clear(t.objects)
	return err
}
