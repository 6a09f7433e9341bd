// Package plugintest runs a plugin for its author's tests: in the test's own process, or
// as the program that a host would start. It decides nothing and confines nothing; other
// objects cannot be called.
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

// ID is the id that the plugin under test has.
const ID = "test.plugin"

// Plugin is a plugin under test.
type Plugin struct{ client rpc.PluginClient }

// Run serves objects in this process, until the test ends.
func Run(t testing.TB, objects ...*sdk.Object) *Plugin {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	attach, done := make(chan *goplugin.ReattachConfig, 1), make(chan struct{})
	go goplugin.Serve(sdk.Config(&goplugin.ServeTestConfig{Context: ctx, ReattachConfigCh: attach, CloseCh: done},
		objects...))
	t.Cleanup(func() { cancel(); <-done })
	select {
	case at := <-attach:
		return connect(t, &goplugin.ClientConfig{Reattach: at})
	case <-time.After(10 * time.Second):
		t.Fatal("the plugin does not come up")
		return nil
	}
}

// Exec starts the program at path, until the test ends.
func Exec(t testing.TB, path string) *Plugin {
	t.Helper()
	//nolint:noctx // the test names it
	return connect(t, &goplugin.ClientConfig{Cmd: exec.Command(path), AutoMTLS: true, SkipHostEnv: true})
}

func connect(t testing.TB, cfg *goplugin.ClientConfig) *Plugin {
	t.Helper()
	cfg.HandshakeConfig = goplugin.HandshakeConfig{ProtocolVersion: rpc.Version, MagicCookieKey: rpc.CookieKey,
		MagicCookieValue: rpc.CookieValue}
	cfg.Plugins = goplugin.PluginSet{rpc.Name: &adapter{}}
	cfg.AllowedProtocols = []goplugin.Protocol{goplugin.ProtocolGRPC}
	cfg.Logger = hclog.NewNullLogger()
	client := goplugin.NewClient(cfg)
	t.Cleanup(client.Kill)
	proto, err := client.Client()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := proto.Dispense(rpc.Name)
	if err != nil {
		t.Fatal(err)
	}
	p := raw.(*Plugin)
	if _, err := p.client.Describe(t.Context(), &rpc.DescribeRequest{Id: ID}); err != nil {
		t.Fatal(err)
	}
	return p
}

// adapter is the plugin in go-plugin's terms.
type adapter struct {
	goplugin.NetRPCUnsupportedPlugin
}

func (*adapter) GRPCServer(*goplugin.GRPCBroker, *grpc.Server) error {
	return errors.New("plugintest: a test is no plugin")
}

func (*adapter) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return &Plugin{rpc.NewPluginClient(conn)}, nil
}

var serpent = codec.ByID(codec.Serpent)

func request(name, method string, args []any) (*rpc.CallRequest, error) {
	id := ID
	if name != "" {
		id += "." + name
	}
	payload, err := codec.AppendCall(serpent, nil, id, method, args, nil, false)
	return &rpc.CallRequest{Object: id, Kind: rpc.Kind_KIND_INVOKE, Method: method, Protocol: uint32(object.Pyro5),
		Serializer: serpent.Name(), Payload: payload, Caller: &rpc.Caller{Principal: "tester"}}, err
}

// Call calls a method of the object that is registered under a name, "" for the plugin's
// own. What it raises is an [*sdk.Exception].
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
			if _, err = result(opened); err == nil {
				err = errors.New("plugintest: the result is no item stream")
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
		return nil, &object.Error{Code: object.Code(f.GetCode()), Msg: f.GetMessage(), Class: f.GetClass()}
	}
	v, err := codec.Unmarshal(serpent, r.GetPayload(), codec.Limits{})
	if ex, ok := v.(*codec.Exception); ok && r.GetException() {
		return nil, sdk.Raise(pyro.BareClass(ex.Class), ex.Args...)
	}
	return v, err
}
