//go:build linux

package plugins_test

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/plugins/rpc"
)

// bare is a plugin with nothing around its connection.
type bare struct {
	goplugin.NetRPCUnsupportedPlugin
}

func (bare) GRPCServer(*goplugin.GRPCBroker, *grpc.Server) error { return errors.New("no") }

func (bare) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return rpc.NewPluginClient(conn), nil
}

// BenchmarkBare is BenchmarkCall without a supervisor: what go-plugin and gRPC cost. EndConn
// of a connection that nobody has is the least that can be asked.
func BenchmarkBare(b *testing.B) {
	client := goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  goplugin.HandshakeConfig{ProtocolVersion: rpc.Version, MagicCookieKey: rpc.CookieKey, MagicCookieValue: rpc.CookieValue},
		Plugins:          goplugin.PluginSet{rpc.Name: bare{}},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true,
		Logger:           hclog.NewNullLogger(),
		Cmd:              exec.Command(filepath.Join(built, "misbehave")),
	})
	defer client.Kill()
	proto, err := client.Client()
	if err != nil {
		b.Fatal(err)
	}
	raw, err := proto.Dispense(rpc.Name)
	if err != nil {
		b.Fatal(err)
	}
	p := raw.(rpc.PluginClient)
	if _, err := p.Describe(b.Context(), &rpc.DescribeRequest{Id: "acme.bench"}); err != nil {
		b.Fatal(err)
	}
	b.Run("nothing", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := p.EndConn(b.Context(), &rpc.EndConnRequest{Conn: 1}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("echo", func(b *testing.B) {
		c := newCall("acme.bench", "echo", int64(1))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := p.Call(b.Context(), &rpc.CallRequest{Object: "acme.bench", Kind: rpc.Kind_KIND_INVOKE, Method: "echo", Protocol: 502,
				Serializer: codec.ByID(codec.Serpent).Name(), Payload: c.Payload}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkStart is a plugin's way from nothing to its first answer.
func BenchmarkStart(b *testing.B) {
	cfg, _ := prepare(b, "start", filepath.Join(built, "misbehave"))
	for b.Loop() {
		p := runs(b, cfg)
		answers(b, p, cfg.ID)
		_ = p.Close(context.Background())
	}
}
