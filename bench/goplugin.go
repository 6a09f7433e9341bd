package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

// workPlugin serves the work as a plugin: the same gRPC service on go-plugin's socket.
type workPlugin struct {
	goplugin.NetRPCUnsupportedPlugin
}

// GRPCServer implements goplugin.GRPCPlugin.
func (workPlugin) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	RegisterWorkServer(s, server{})
	return nil
}

// GRPCClient implements goplugin.GRPCPlugin.
func (workPlugin) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return NewWorkClient(conn), nil
}

var pluginHandshake = goplugin.HandshakeConfig{
	ProtocolVersion:  1,
	MagicCookieKey:   "HEARTH_BENCH_PLUGIN",
	MagicCookieValue: "compare",
}

// servePlugin is the process of the go-plugin peer.
func servePlugin() error {
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: pluginHandshake,
		Plugins:         goplugin.PluginSet{"work": workPlugin{}},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, grpc.MaxRecvMsgSize(maxBlob))...)
		},
		Logger: hclog.NewNullLogger(),
	})
	return nil
}

// startPlugin starts a plugin with go-plugin's defaults: one connection over a Unix socket with mutual TLS, which all
// callers share, and no isolation.
func startPlugin() (*peer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "serve-plugin") //nolint:gosec,noctx // this program; Kill ends it
	client := goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  pluginHandshake,
		Plugins:          goplugin.PluginSet{"work": workPlugin{}},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true,
		GRPCDialOptions:  []grpc.DialOption{grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxBlob))},
		Logger:           hclog.NewNullLogger(),
		Cmd:              cmd,
	})
	proto, err := client.Client()
	if err != nil {
		client.Kill()
		return nil, fmt.Errorf("starting a plugin by go-plugin: %w", err)
	}
	raw, err := proto.Dispense("work")
	if err != nil {
		client.Kill()
		return nil, fmt.Errorf("starting a plugin by go-plugin: %w", err)
	}
	w, ok := raw.(WorkClient)
	if !ok {
		client.Kill()
		return nil, errors.New("starting a plugin by go-plugin: it has another type")
	}
	return &peer{
		name:    namePlugin,
		version: "go-plugin " + moduleVersion("github.com/hashicorp/go-plugin"),
		pid:     cmd.Process.Pid,
		stop:    client.Kill,
		dial:    func(context.Context) (caller, error) { return &unary{client: w}, nil },
	}, nil
}
