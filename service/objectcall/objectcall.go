// Package objectcall is the service through which running objects call other objects.
package objectcall

import (
	"context"
	"fmt"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/hostcall"
	"github.com/hearthhost/hearth/sandbox/link"
)

// Caller authorizes and runs a call of the object from on another one. exclusive reports that from has one instance,
// which serves no other call meanwhile. The call's Chain and Corr are those of the call that from runs. It may keep the
// call and its payload. Safe for concurrent use.
type Caller func(ctx context.Context, from object.ID, exclusive bool, c *object.Call) (object.Reply, error)

// New returns the service that runs calls by call.
func New(call Caller) hostcall.Service { return service{call} }

type service struct{ call Caller }

// ID implements [hostcall.Service].
func (service) ID() link.Service { return link.Objects }

// Handle implements [hostcall.Service].
func (s service) Handle(
	ctx context.Context, from hostcall.From, op link.Op, payload []byte,
) (link.ServiceReply, error) {
	d := link.Decoder{B: payload}
	req := d.ObjectCallFields()
	if d.Err != nil || op != link.ObjectsCall {
		return link.ServiceReply{}, fmt.Errorf("%w: op %d of the object service: %w", hostcall.ErrProtocol, op, d.Err)
	}
	c := &object.Call{
		ID:      req.To,
		Kind:    req.Kind,
		Method:  req.Method,
		Format:  req.Format,
		Corr:    from.Corr,
		Chain:   from.Chain,
		Payload: req.Payload,
	}
	r, err := s.call(ctx, from.Object, req.Exclusive, c)
	switch {
	case err != nil:
		return link.ServiceReply{}, err
	case r.Stream != 0:
		return link.ServiceReply{Kind: link.ObjectStream}, nil
	case r.Exception:
		return link.ServiceReply{Kind: link.ObjectException, Payload: r.Payload}, nil
	}
	return link.ServiceReply{Kind: link.ObjectValue, Payload: r.Payload}, nil
}
