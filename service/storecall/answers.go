package storecall

import (
	"context"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/service/store"
)

// Answers returns the stored replies of calls in an engine.
func Answers(engine store.Engine) *StoredAnswers { return &StoredAnswers{engine} }

// StoredAnswers has the stored replies of calls that are executed at most once.
type StoredAnswers struct{ engine store.Engine }

// Answer returns the reply that is stored for a call. found is false for a call that has not begun. The error is the
// answer to a call that cannot be executed again and has no stored reply.
func (s *StoredAnswers) Answer(ctx context.Context, c *object.Call) (r object.Reply, found bool, err error) {
	if err := store.CheckCallKey(c.Once.Key); err != nil {
		return r, false, err
	}
	a, found, err := s.engine.Answer(ctx, c.ID, store.CallKey{Principal: c.Caller.Principal, Key: c.Once.Key})
	switch {
	case err != nil || !found:
		return r, false, err
	case a.Sum != c.Once.Sum:
		return r, false, object.Errorf(object.CodeInvalid,
			"the idempotency key %s belongs to a call of another method, or with other arguments; not executed",
			store.Shown(c.Once.Key))
	case a.State == store.Begun:
		return r, false, object.Errorf(object.CodeUnavailable,
			"an earlier call with this idempotency key ended in the middle; it was executed in part")
	case a.State == store.Dropped:
		return r, false, object.Errorf(object.CodeUnavailable,
			"an earlier call with this idempotency key was executed; its reply of more than %d bytes is not stored",
			store.MaxAnswer)
	}
	return object.Reply{Payload: a.Payload, Exception: a.Exception}, true, nil
}
