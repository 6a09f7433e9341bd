package storecall

import (
	"context"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/service/store"
	"github.com/hearthhost/hearth/service/store/value"
)

// Direct returns the state of an engine for objects that no worker runs. limits returns the limits of an object and its
// tenant. It may be called concurrently.
func Direct(engine store.Engine, limits func(object.ID) store.Limits) *DirectStore {
	return &DirectStore{Engine: engine, limits: limits}
}

// DirectStore is an engine that checks the values of a batch and sets its limits.
type DirectStore struct {
	store.Engine
	limits func(object.ID) store.Limits
}

// Commit makes a batch durable. It sets the limits of the batch.
func (s *DirectStore) Commit(ctx context.Context, b *store.Batch) (store.Result, error) {
	b.Limits = s.limits(b.Object)
	if err := b.Check(); err != nil {
		return store.Result{}, err
	}
	for i := range b.Writes {
		if w := &b.Writes[i]; w.Op == store.Put && !value.Valid(w.Value) {
			return store.Result{}, object.Errorf(object.CodeInvalid, "store: the value of %s is not JSON of a value; "+
				"not stored", store.Shown(w.Key))
		}
	}
	return s.Engine.Commit(ctx, b)
}
