package plugins

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins/rpc"
)

// Bounds on the memory for messages of a plugin. A message that is arriving, request or answer, occupies one of a few
// slots for at most receiveTimeout. A message without a slot is buffered up to the flow control window only.
const (
	maxReceiving   = 4 // arriving messages, for requests and for answers
	receiveTimeout = 10 * time.Second
	sendTimeout    = 20 * time.Second // time for the plugin to read an answer
	maxCalls       = 1024             // running calls of a plugin
	maxStreams     = 128              // running requests of a plugin per connection
	requestWindow  = 64 << 10
	answerWindow   = 128 << 10
	maxHeaderBytes = 16 << 10 // HTTP/2 headers
)

// Budget counts bytes in flight, for example of a tenant. Acquire fails if the limit is reached. Release returns
// granted bytes. Both are safe for concurrent use and do not block.
type Budget interface {
	Acquire(n int) error
	Release(n int)
}

// noBudget has no limit.
type noBudget struct{}

func (noBudget) Acquire(int) error { return nil }
func (noBudget) Release(int)       {}

// receiveSlots limits the number of messages that arrive concurrently.
type receiveSlots chan struct{}

func newReceiveSlots() receiveSlots { return make(receiveSlots, maxReceiving) }

// enter waits for a slot. leave releases it.
func (in receiveSlots) enter(ctx context.Context) error {
	select {
	case in <- struct{}{}:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}

func (in receiveSlots) leave() { <-in }

// withTimeout runs a function that sends or receives a message on a stream. On timeout it returns an error while f is
// still running, and the caller must end the stream.
func withTimeout(ctx context.Context, d time.Duration, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }() // ends with the stream
	late := time.NewTimer(d)
	defer late.Stop()
	select {
	case err := <-done:
		return err
	case <-late.C:
		return errSlow(d)
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}

func errSlow(d time.Duration) error {
	return status.Errorf(codes.DeadlineExceeded, "the message was not transferred within %s", d)
}

// newHostServer returns the server of the host's service.
func newHostServer(service rpc.HostServer, budget Budget, opts ...grpc.ServerOption) *grpc.Server {
	s := grpc.NewServer(append(opts, grpc.ConnectionTimeout(shakeTimeout), grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeaderBytes), grpc.InitialWindowSize(requestWindow),
		grpc.InitialConnWindowSize(requestWindow),
		grpc.MaxRecvMsgSize(rpc.MaxMessageBytes), grpc.MaxSendMsgSize(rpc.MaxMessageBytes))...)
	in := newReceiveSlots()
	method := func(name string, h grpc.StreamHandler) grpc.StreamDesc {
		return grpc.StreamDesc{StreamName: name, Handler: h, ServerStreams: true, ClientStreams: true}
	}
	// The methods are registered as streams, which are equal on the wire. For a unary method gRPC would receive any
	// number of whole requests before it calls the handler.
	methods := []grpc.StreamDesc{
		method("Log", unary(in, budget, rpc.HostServer.Log)),
		method("Proxy", unary(in, budget, rpc.HostServer.Proxy)),
		method("Secret", unary(in, budget, rpc.HostServer.Secret)),
		method("Store", unary(in, budget, rpc.HostServer.Store)),
	}
	name := rpc.Host_ServiceDesc.ServiceName
	s.RegisterService(&grpc.ServiceDesc{ServiceName: name, HandlerType: (*rpc.HostServer)(nil), Streams: methods},
		service)
	return s
}

// unary handles a method with one request and one answer. The budget counts both.
func unary[In, Out any](
	in receiveSlots, budget Budget, call func(rpc.HostServer, context.Context, *In) (*Out, error),
) grpc.StreamHandler {
	return func(service any, s grpc.ServerStream) error {
		request := new(In)
		if err := in.enter(s.Context()); err != nil {
			return err
		}
		err := withTimeout(s.Context(), receiveTimeout, func() error { return s.RecvMsg(request) })
		in.leave()
		if err != nil {
			return err
		}
		size := rpc.Size(request)
		if err := budget.Acquire(size); err != nil {
			switch any(request).(type) {
			case *rpc.ProxyRequest:
				return s.SendMsg(failed(
					object.Errorf(object.CodeExhausted, "limit exceeded: %v; not executed", err)))
			case *rpc.StoreRequest:
				return s.SendMsg(storeFailed(
					object.Errorf(object.CodeExhausted, "limit exceeded: %v; not stored", err)))
			}
			return status.Errorf(codes.ResourceExhausted, "limit exceeded: %v", err)
		}
		defer budget.Release(size)
		host := service.(rpc.HostServer) //nolint:forcetypeassert // guaranteed by HandlerType
		answer, err := call(host, s.Context(), request)
		if err != nil {
			return err
		}
		var out any = answer
		size = rpc.Size(answer)
		if full := budget.Acquire(size); full != nil {
			size = 0
			lost := failed(object.Errorf(object.CodeExhausted,
				"limit exceeded: %v; the call was executed, its result is lost", full))
			if out = lost; isStore(answer) {
				out = &rpc.StoreReply{Failure: lost.GetFailure()}
			}
		}
		defer budget.Release(size)
		return withTimeout(s.Context(), sendTimeout, func() error { return s.SendMsg(out) })
	}
}

// isStore reports whether an answer is that of an operation of the store.
func isStore(answer any) bool {
	_, ok := answer.(*rpc.StoreReply)
	return ok
}

// roundTrip makes a request and returns the answer. It receives the answer after it has a slot.
func roundTrip[Out any](ctx context.Context, pr *process, method string, request any) (*Out, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := pr.conn.NewStream(ctx, &grpc.StreamDesc{}, method)
	if err == nil {
		err = s.SendMsg(request)
	}
	if err != nil {
		return nil, err
	}
	if _, err := s.Header(); err != nil { // returns when the plugin begins to answer
		return nil, err
	}
	if err := pr.answers.enter(ctx); err != nil {
		return nil, err
	}
	defer pr.answers.leave()
	late := time.AfterFunc(receiveTimeout, cancel)
	answer := new(Out)
	err = s.RecvMsg(answer)
	if !late.Stop() && err != nil {
		err = errSlow(receiveTimeout)
	}
	if err != nil {
		return nil, err
	}
	return answer, nil
}
