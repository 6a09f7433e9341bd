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

// Bounds on what the host holds of messages with a plugin. A message that has not arrived whole, in either direction
// of calls, takes one of a few slots, and has receiveTimeout for it. Those without a slot hold a window at most.
const (
	maxReceiving   = 4 // messages that arrive at a time, of requests and of answers each
	receiveTimeout = 10 * time.Second
	sendTimeout    = 20 * time.Second // until the plugin must have taken an answer
	maxCalls       = 1024             // calls of a plugin under way
	maxStreams     = 128              // requests of a plugin under way, of each connection
	requestWindow  = 64 << 10
	answerWindow   = 128 << 10
	maxHeaderBytes = 16 << 10 // of HTTP/2 headers
)

// Budget is an account of bytes in flight, for example of a tenant. Acquire fails if there is no room; what it
// granted is given back by Release. Both are safe for concurrent use and do not wait.
type Budget interface {
	Acquire(n int) error
	Release(n int)
}

// noBudget grants everything.
type noBudget struct{}

func (noBudget) Acquire(int) error { return nil }
func (noBudget) Release(int)       {}

// intake lets a few messages of a plugin arrive at a time.
type intake chan struct{}

func newIntake() intake { return make(intake, maxReceiving) }

// enter waits for a slot, which leave gives back.
func (in intake) enter(ctx context.Context) error {
	select {
	case in <- struct{}{}:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}

func (in intake) leave() { <-in }

// within runs a function that sends or receives a message of a stream that a plugin opened. If it takes too long,
// within returns without it, and the caller has to end the stream.
func within(ctx context.Context, d time.Duration, f func() error) error {
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

// newHostServer returns the server of what a plugin asks of the host.
func newHostServer(service rpc.HostServer, budget Budget, opts ...grpc.ServerOption) *grpc.Server {
	s := grpc.NewServer(append(opts, grpc.ConnectionTimeout(shakeTimeout), grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeaderBytes), grpc.InitialWindowSize(requestWindow),
		grpc.InitialConnWindowSize(requestWindow),
		grpc.MaxRecvMsgSize(rpc.MaxMessageBytes), grpc.MaxSendMsgSize(rpc.MaxMessageBytes))...)
	in := newIntake()
	method := func(name string, h grpc.StreamHandler) grpc.StreamDesc {
		return grpc.StreamDesc{StreamName: name, Handler: h, ServerStreams: true, ClientStreams: true}
	}
	// The methods are served as streams, which look the same to the plugin: gRPC would receive a request whole, and
	// any number of them at a time, before it asks for the method's handler.
	methods := []grpc.StreamDesc{
		method("Log", unary(in, budget, rpc.HostServer.Log)),
		method("Proxy", unary(in, budget, rpc.HostServer.Proxy)),
		method("Secret", unary(in, budget, rpc.HostServer.Secret)),
	}
	name := rpc.Host_ServiceDesc.ServiceName
	s.RegisterService(&grpc.ServiceDesc{ServiceName: name, HandlerType: (*rpc.HostServer)(nil), Streams: methods},
		service)
	return s
}

// unary handles a method of one request and one answer, both of which the budget counts.
func unary[In, Out any](
	in intake, budget Budget, call func(rpc.HostServer, context.Context, *In) (*Out, error),
) grpc.StreamHandler {
	return func(service any, s grpc.ServerStream) error {
		request := new(In)
		if err := in.enter(s.Context()); err != nil {
			return err
		}
		err := within(s.Context(), receiveTimeout, func() error { return s.RecvMsg(request) })
		in.leave()
		if err != nil {
			return err
		}
		size := rpc.Size(request)
		if err := budget.Acquire(size); err != nil {
			if _, proxy := any(request).(*rpc.ProxyRequest); proxy {
				return s.SendMsg(failed(object.Errorf(object.CodeExhausted, "limit exceeded: %v; not executed", err)))
			}
			return status.Errorf(codes.ResourceExhausted, "limit exceeded: %v", err)
		}
		defer budget.Release(size)
		host := service.(rpc.HostServer) //nolint:forcetypeassert // HandlerType says so
		answer, err := call(host, s.Context(), request)
		if err != nil {
			return err
		}
		var out any = answer
		size = rpc.Size(answer)
		if full := budget.Acquire(size); full != nil {
			size = 0
			out = failed(object.Errorf(object.CodeExhausted,
				"limit exceeded: %v; the call was executed, its result is lost", full))
		}
		defer budget.Release(size)
		return within(s.Context(), sendTimeout, func() error { return s.SendMsg(out) })
	}
}

// ask makes a request of the plugin. The answer gets memory when it has a slot.
func ask[Out any](ctx context.Context, pr *process, method string, request any) (*Out, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := pr.conn.NewStream(ctx, &grpc.StreamDesc{}, method)
	if err == nil {
		err = s.SendMsg(request)
	}
	if err != nil {
		return nil, err
	}
	if _, err := s.Header(); err != nil { // until the plugin answers
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
