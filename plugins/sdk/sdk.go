// Package sdk is for authors of plugins, which are executables that a Hearth host serves as objects.
//
//	type greeter struct{}
//
//	func (greeter) Hello(name string) string { return "Hello, " + name + "!" }
//
//	func main() {
//		sdk.Serve(sdk.New(sdk.PerCall, "Greets.", func() greeter { return greeter{} }).
//			Method("hello", greeter.Hello, "Returns a greeting."))
//	}
//
// See doc/plugins.md for the full guide. A host does not need this package.
package sdk

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins/rpc"
)

// Exception is an error that a client receives as an exception of a named class.
type Exception struct {
	Class string // for example "ValueError"; a class that the client does not have becomes a RuntimeError
	Args  []any
}

// Raise returns an error that raises an exception at the client. Any other error becomes a RuntimeError with its text.
func Raise(class string, args ...any) error { return &Exception{Class: class, Args: args} }

// Error returns the class and the first argument.
func (e *Exception) Error() string {
	if len(e.Args) == 0 {
		return e.Class
	}
	return fmt.Sprintf("%s: %v", e.Class, e.Args[0])
}

// Caller is the identity and connection of a client.
type Caller = object.Caller

type callKey struct{}

// callInfo describes the call of a context.
type callInfo struct {
	s      *server
	id     atomic.Uint64 // number of the running call; each item of a stream has another one
	object string
	caller Caller
	corr   [16]byte
	store  buffer
	once   bool           // the call is executed at most once
	reply  *rpc.CallReply // of such a call, when it is stored
}

func callOf(ctx context.Context) *callInfo {
	u, _ := ctx.Value(callKey{}).(*callInfo)
	return u
}

// CallerOf returns the caller of the call of ctx; the zero value outside of a call.
func CallerOf(ctx context.Context) Caller {
	if u := callOf(ctx); u != nil {
		return u.caller
	}
	return Caller{}
}

// Correlation returns the id of the call of ctx in logs.
func Correlation(ctx context.Context) [16]byte {
	if u := callOf(ctx); u != nil {
		return u.corr
	}
	return [16]byte{}
}

// Log writes a line to the host's log. level is "debug", "info", "warn" or "error".
func Log(ctx context.Context, level, text string) {
	u := callOf(ctx)
	if u == nil || u.s.host == nil {
		return
	}
	_, _ = u.s.host.Log(ctx, &rpc.LogRequest{Object: u.object, Level: level, Text: text})
}

// Secret returns a secret that the policy grants to the object of the current call. Do not cache the value: the secret
// may change. The error reports that the secret is not granted.
func Secret(ctx context.Context, name string) (string, error) {
	u := callOf(ctx)
	if u == nil || u.s.host == nil {
		return "", errors.New("sdk: secrets are available only during a call, with its context, under a host")
	}
	r, err := u.s.host.Secret(ctx, &rpc.SecretRequest{Call: u.id.Load(), Name: name})
	if err != nil {
		return "", err
	}
	if !r.GetGranted() {
		return "", fmt.Errorf("sdk: the policy grants no secret %q to %s", name, u.object)
	}
	return r.GetValue(), nil
}

// Call calls a method of another object. The policy must permit it for the principal "object:<id of this object>". An
// exception of the other object is returned as an [*Exception].
func Call(ctx context.Context, id, method string, args ...any) (any, error) {
	u := callOf(ctx)
	if u == nil || u.s.host == nil {
		return nil, errors.New("sdk: other objects can be called only during a call, with its context, under a host")
	}
	if err := u.gate(ctx); err != nil {
		return nil, err
	}
	for i := range args {
		args[i] = plain(args[i])
	}
	payload, err := pyro.AppendCall(pyro.ObjectCalls, nil, id, method, args, nil, false)
	if err != nil {
		return nil, err
	}
	r, err := u.s.host.Proxy(ctx, &rpc.ProxyRequest{
		Call:       u.id.Load(),
		From:       u.object,
		Object:     id,
		Kind:       rpc.Kind_KIND_INVOKE,
		Method:     method,
		Serializer: pyro.ObjectCalls.Name(),
		Payload:    payload,
	})
	if err != nil {
		return nil, err
	}
	if f := r.GetFailure(); f != nil {
		ex := pyro.NewException(pyro.ObjectCalls.Generation(),
			&object.Error{Code: object.Code(f.GetCode()), Msg: f.GetMessage(), Class: f.GetClass()})
		return nil, Raise(pyro.BareClass(ex.Class), ex.Args...)
	}
	v, err := codec.Unmarshal(pyro.ObjectCalls, r.GetPayload(), codec.Limits{})
	if err != nil {
		return nil, err
	}
	if ex, ok := v.(*codec.Exception); ok && r.GetException() {
		return nil, Raise(pyro.BareClass(ex.Class), ex.Args...)
	}
	return v, nil
}

// Serve runs the plugin in this process, which the host started. It returns when the host ends the plugin.
func Serve(objects ...*Object) {
	goplugin.Serve(Config(nil, objects...))
}

// Config returns the configuration of [Serve], for tests of plugins.
func Config(test *goplugin.ServeTestConfig, objects ...*Object) *goplugin.ServeConfig {
	return &goplugin.ServeConfig{
		HandshakeConfig: goplugin.HandshakeConfig{
			ProtocolVersion:  rpc.Version,
			MagicCookieKey:   rpc.CookieKey,
			MagicCookieValue: rpc.CookieValue,
		},
		Plugins: goplugin.PluginSet{rpc.Name: &adapter{objects: objects}},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, grpc.MaxRecvMsgSize(rpc.MaxMessageBytes),
				grpc.MaxSendMsgSize(rpc.MaxMessageBytes))...)
		},
		Logger: hclog.NewNullLogger(),
		Test:   test,
	}
}

// adapter is the plugin as go-plugin requires it.
type adapter struct {
	goplugin.NetRPCUnsupportedPlugin
	objects []*Object
}

// GRPCServer implements go-plugin's GRPCPlugin.
func (a *adapter) GRPCServer(broker *goplugin.GRPCBroker, s *grpc.Server) error {
	srv, err := newServer(a.objects)
	if err != nil {
		return err
	}
	srv.dial = func(id uint32) (rpc.HostClient, error) {
		conn, err := broker.Dial(id)
		if err != nil {
			return nil, err
		}
		return rpc.NewHostClient(conn), nil
	}
	rpc.RegisterPluginServer(s, srv)
	return nil
}

// GRPCClient implements go-plugin's GRPCPlugin for the host's side. A plugin does not use it.
func (a *adapter) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("sdk: a plugin is not a host")
}
