//go:build linux

package plugins_test

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/plugins"
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

// dialBare starts a plugin with go-plugin's defaults: by gRPC with AutoMTLS, without a
// supervisor or walls.
func dialBare(b *testing.B) rpc.PluginClient {
	b.Helper()
	client := goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig: goplugin.HandshakeConfig{
			ProtocolVersion:  rpc.Version,
			MagicCookieKey:   rpc.CookieKey,
			MagicCookieValue: rpc.CookieValue,
		},
		Plugins:          goplugin.PluginSet{rpc.Name: bare{}},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true,
		Logger:           hclog.NewNullLogger(),
		Cmd:              exec.Command(filepath.Join(built, "misbehave")),
	})
	b.Cleanup(client.Kill)
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
	return p
}

// BenchmarkPlugin is a call of a plugin behind its walls, beside the same call by go-plugin
// and gRPC alone: in turns, so that a busy machine slows both. "x-bare" is their ratio.
func BenchmarkPlugin(b *testing.B) {
	direct := dialBare(b)
	cfg, _ := prepare(b, "bench", filepath.Join(built, "misbehave"))
	p := runs(b, cfg)
	answers(b, p, cfg.ID)
	c := newCall(cfg.ID, "echo", int64(1))
	c.Deadline = time.Now().Add(time.Hour)
	const turns = 64
	var ours, theirs time.Duration
	for b.Loop() {
		begin := time.Now()
		for range turns {
			if _, err := p.Invoke(context.Background(), c); err != nil {
				b.Fatal(err)
			}
		}
		middle := time.Now()
		for range turns {
			if _, err := direct.Call(b.Context(),
				&rpc.CallRequest{
					Object:     string(cfg.ID),
					Kind:       rpc.Kind_KIND_INVOKE,
					Method:     "echo",
					Protocol:   502,
					Serializer: codec.ByID(codec.Serpent).Name(),
					Payload:    c.Payload,
				}); err != nil {
				b.Fatal(err)
			}
		}
		ours, theirs = ours+middle.Sub(begin), theirs+time.Since(middle)
	}
	n := float64(b.N * turns)
	b.ReportMetric(float64(ours.Nanoseconds())/n, "ns/call")
	b.ReportMetric(float64(theirs.Nanoseconds())/n, "ns/bare")
	b.ReportMetric(float64(ours)/float64(theirs), "x-bare")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkStart is a plugin's way from nothing to its first answer, behind its walls and
// without any.
func BenchmarkStart(b *testing.B) {
	for _, unconfined := range []bool{false, true} {
		name := "confined"
		if unconfined {
			name = "unconfined"
		}
		b.Run(name, func(b *testing.B) {
			cfg, _ := prepare(b, "start", filepath.Join(built, "misbehave"))
			cfg.Unconfined = unconfined
			for b.Loop() {
				p := plugins.New(cfg)
				answers(b, p, cfg.ID)
				b.StopTimer()
				_ = p.Close(context.Background())
				b.StartTimer()
			}
		})
	}
}
