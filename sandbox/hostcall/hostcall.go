// Package hostcall runs the ops that a worker process requests from the host for its running objects. A service of the
// host implements [Service]. A [Table] has the ops of one process in flight.
//
// Each op runs in its own goroutine, which ends with the op, unless its service is a [Starter]. The table does not
// decode payloads.
package hostcall

import (
	"context"
	"errors"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// Service does work in the host's process for the running objects of tenants, for example calls of other objects.
// Its methods may be called concurrently, for many tenants.
type Service interface {
	// ID returns the service's number on the link.
	ID() link.Service
	// Handle runs one op. It may keep the payload. ctx is done when the call from which the op comes ends, when the
	// worker gives the op up, and when the worker's process ends: Handle then returns soon. The worker receives an
	// [object.Error] without its cause, and of any other error only the code.
	Handle(ctx context.Context, from From, op link.Op, payload []byte) (link.ServiceReply, error)
}

// Starter is a [Service] that runs some ops without a goroutine for each.
type Starter interface {
	Service
	// Start begins an op and returns true. It returns false without effect if Handle must run the op. It does not wait.
	// done must be called once with the result when the op has ended. It does not wait, and may be called before Start
	// returns. payload belongs to the op; ctx is that of Handle.
	Start(ctx context.Context, from From, op link.Op, payload []byte, done func(link.ServiceReply, error)) bool
}

// From is the running object for which a worker requests an op. Every field comes from the host's own tables: the
// worker can only choose among the objects that it runs and the calls that they have not answered.
type From struct {
	Tenant object.Tenant
	Object object.ID
	// The call that the object runs. The fields except Chain are zero while init, close or handover runs.
	Caller object.Caller
	Conn   uint64       // connection of the call; it names the instance of an object of mode "session"
	Corr   [16]byte     // correlation id
	Once   *object.Once // of the call; nil if it may be executed again
	// Chain has the objects through which the call came, outermost first, without the last Object. It belongs to
	// Handle. In init, close and handover it has Object as often as the longest chain of the worker's calls is long.
	Chain []object.ID
}

// Budget is an account of bytes in flight, for example of a tenant. Acquire fails if n bytes exceed it. Release gives
// back acquired bytes. Both are safe for concurrent use and do not wait.
type Budget interface {
	Acquire(n int) error
	Release(n int)
}

// noBudget grants everything.
type noBudget struct{}

func (noBudget) Acquire(int) error { return nil }
func (noBudget) Release(int)       {}

// Worker is the process that requests the ops of a [Table]. Its methods are safe for concurrent use.
type Worker interface {
	// Bind completes c.From by the call of c.Request, and calls c.Enter while that call cannot end: at the call's end
	// the worker calls [Table.CancelRequest]. An error of type [*object.Error] is the answer to the op. Any other
	// error reports that the worker broke the protocol. Bind does not wait.
	Bind(c *Call) error
	// Post sends a frame without waiting.
	Post(frame []byte)
	// Send sends a frame whose last field is payload. It may wait until the worker reads. The error is
	// [link.ErrBacklog] if too many bytes wait already.
	Send(frame, payload []byte) error
	// Kill ends a process that broke the protocol.
	Kill(cause error)
}

// ErrProtocol is the error of [Service.Handle] for an op or a payload that no worker sends.
var ErrProtocol = errors.New("link: the worker broke the protocol")

// ErrUnknown is the error for an op of a service that the host does not offer to the tenant.
var ErrUnknown = errors.New("link: unknown service or op")
