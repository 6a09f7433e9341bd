// Package plugintest runs a plugin without a host, for its author's tests: in the process of the test, or as the
// program that a host would start. There is no policy and no isolation, and other objects cannot be called.
package plugintest

import (
	"context"
	"errors"
	"iter"
	"os/exec"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins/rpc"
	"github.com/hearthhost/hearth/plugins/sdk"
)

// ID is the id of the plugin under test.
const ID = "test.plugin"

// Plugin is a running plugin. It is safe for concurrent use.
type Plugin struct {
	client rpc.PluginClient
	stop   func()
}

// Start serves objects in this process. The caller closes the plugin.
func Start(objects ...*sdk.Object) (*Plugin, error) {
	ctx, cancel := context.WithCancel(context.Background())
	attach, done := make(chan *goplugin.ReattachConfig, 1), make(chan struct{})
	go goplugin.Serve(sdk.Config(&goplugin.ServeTestConfig{
		Context:          ctx,
		ReattachConfigCh: attach,
		CloseCh:          done,
	}, objects...))
	stop := func() { cancel(); <-done }
	select {
	case at := <-attach:
		return connect(&goplugin.ClientConfig{Reattach: at}, stop)
	case <-time.After(10 * time.Second):
		cancel()
		return nil, errors.New("plugintest: the plugin does not start")
	}
}

// Run is [Start] for a test. It closes the plugin when the test ends.
func Run(t testing.TB, objects ...*sdk.Object) *Plugin {
	t.Helper()
	p, err := Start(objects...)
	return untilEnd(t, p, err)
}

// Exec starts the program at path and ends it when the test ends.
func Exec(t testing.TB, path string) *Plugin {
	t.Helper()
	cfg := &goplugin.ClientConfig{
		Cmd:         exec.Command(path), //nolint:noctx // Close ends it
		AutoMTLS:    true,
		SkipHostEnv: true,
	}
	p, err := connect(cfg, func() {})
	return untilEnd(t, p, err)
}

func untilEnd(t testing.TB, p *Plugin, err error) *Plugin {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// Close ends the plugin and waits for it.
func (p *Plugin) Close() { p.stop() }

// connect makes the handshake and reads the plugin's description. stop ends a plugin in this process.
func connect(cfg *goplugin.ClientConfig, stop func()) (*Plugin, error) {
	cfg.HandshakeConfig = goplugin.HandshakeConfig{
		ProtocolVersion:  rpc.Version,
		MagicCookieKey:   rpc.CookieKey,
		MagicCookieValue: rpc.CookieValue,
	}
	cfg.Plugins = goplugin.PluginSet{rpc.Name: &adapter{}}
	cfg.AllowedProtocols = []goplugin.Protocol{goplugin.ProtocolGRPC}
	cfg.Logger = hclog.NewNullLogger()
	client := goplugin.NewClient(cfg)
	end := func() { client.Kill(); stop() }
	raw, err := dispense(client)
	if err != nil {
		end()
		return nil, err
	}
	p := &Plugin{client: raw, stop: end}
	if _, err := p.client.Describe(context.Background(), &rpc.DescribeRequest{Id: ID}); err != nil {
		end()
		return nil, err
	}
	return p, nil
}

func dispense(client *goplugin.Client) (rpc.PluginClient, error) {
	proto, err := client.Client()
	if err != nil {
		return nil, err
	}
	raw, err := proto.Dispense(rpc.Name)
	if err != nil {
		return nil, err
	}
	return raw.(rpc.PluginClient), nil //nolint:forcetypeassert // the type of adapter.GRPCClient
}

// adapter is the plugin as go-plugin requires it.
type adapter struct {
	goplugin.NetRPCUnsupportedPlugin
}

func (*adapter) GRPCServer(*goplugin.GRPCBroker, *grpc.Server) error {
	return errors.New("plugintest: a test is not a plugin")
}

func (*adapter) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return rpc.NewPluginClient(conn), nil
}

// format is the format of the calls of tests.
var format = pyro.ObjectCalls

func request(name, method string, args []any) (*rpc.CallRequest, error) {
	id := ID
	if name != "" {
		id += "." + name
	}
	payload, err := pyro.AppendCall(format, nil, id, method, args, nil, false)
	return &rpc.CallRequest{
		Object:     id,
		Kind:       rpc.Kind_KIND_INVOKE,
		Method:     method,
		Protocol:   uint32(format.Generation()),
		Serializer: format.Name(),
		Payload:    payload,
		Caller:     &rpc.Caller{Principal: "tester"},
	}, err
}

// Call calls a method of the object with a name; "" is the object without a name. An exception is returned as an
// [*sdk.Exception].
func (p *Plugin) Call(ctx context.Context, name, method string, args ...any) (any, error) {
	r, err := request(name, method, args)
	if err != nil {
		return nil, err
	}
	reply, err := p.client.Call(ctx, r)
	if err != nil {
		return nil, err
	}
	if reply.GetStream() != 0 {
		return nil, errors.New("plugintest: the result is an item stream: use Items")
	}
	return result(reply)
}

// Items calls a method whose result is an item stream.
func (p *Plugin) Items(ctx context.Context, name, method string, args ...any) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		r, err := request(name, method, args)
		if err != nil {
			yield(nil, err)
			return
		}
		opened, err := p.client.Call(ctx, r)
		if err == nil && opened.GetStream() == 0 {
			_, err = result(opened)
			if err == nil {
				err = errors.New("plugintest: the result is not an item stream")
			}
		}
		if err != nil {
			yield(nil, err)
			return
		}
		defer func() {
			_, _ = p.client.CloseStream(context.WithoutCancel(ctx), &rpc.CloseStreamRequest{Stream: opened.GetStream()})
		}()
		for {
			item, err := p.client.Next(ctx, &rpc.NextRequest{Stream: opened.GetStream(), Call: r})
			if err == nil && item.GetEnd() {
				return
			}
			var v any
			if err == nil {
				v, err = result(item)
			}
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

func result(r *rpc.CallReply) (any, error) {
	if f := r.GetFailure(); f != nil {
		if object.Code(f.GetCode()) == object.CodeInvalid && f.GetClass() != "" { // clients get an exception
			return nil, sdk.Raise(f.GetClass(), f.GetMessage())
		}
		return nil, &object.Error{Code: object.Code(f.GetCode()), Msg: f.GetMessage(), Class: f.GetClass()}
	}
	v, err := codec.Unmarshal(format, r.GetPayload(), codec.Limits{})
	if ex, ok := v.(*codec.Exception); ok && r.GetException() {
		return nil, sdk.Raise(pyro.BareClass(ex.Class), ex.Args...)
	}
	return v, err
}
