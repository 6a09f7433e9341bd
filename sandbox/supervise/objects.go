package supervise

import (
	"context"
	"fmt"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// ObjectCaller authorises and runs a call of the object from on another one. exclusive reports that from has one
// instance, which serves no other call meanwhile. The call's Chain and Corr are those of the call that from runs. It
// may keep the call and its payload.
type ObjectCaller func(ctx context.Context, from object.ID, exclusive bool, c *object.Call) (object.Reply, error)

// ObjectCalls returns the service through which objects call others.
func ObjectCalls(call ObjectCaller) Service { return objectService{call} }

type objectService struct{ call ObjectCaller }

// ID implements [Service].
func (objectService) ID() link.Service { return link.Objects }

// Handle implements [Service].
func (s objectService) Handle(ctx context.Context, from From, op link.Op, payload []byte) (link.ServiceReply, error) {
	d := link.Decoder{B: payload}
	req := d.ObjectCallFields()
	if d.Err != nil || op != link.ObjectsCall {
		return link.ServiceReply{}, fmt.Errorf("%w: op %d of the object service: %w", ErrProtocol, op, d.Err)
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
