package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

//go:generate protoc --go_out=. --go_opt=paths=source_relative bench.proto
//go:generate protoc --go-grpc_out=. --go-grpc_opt=paths=source_relative bench.proto

// maxBlob bounds a message of the gRPC peers. Their default is less than the largest blob.
const maxBlob = 64 << 20

// server serves the work by gRPC.
type server struct{ UnimplementedWorkServer }

// Add returns the sum.
func (server) Add(_ context.Context, p *Pair) (*Number, error) {
	return &Number{Value: p.GetA() + p.GetB()}, nil
}

// Echo returns its argument.
func (server) Echo(_ context.Context, t *Text) (*Text, error) { return &Text{Value: t.GetValue()}, nil }

// EchoBytes returns its argument.
func (server) EchoBytes(_ context.Context, b *Blob) (*Blob, error) {
	return &Blob{Value: b.GetValue()}, nil
}

// serveGRPC is the process of the gRPC peer. It prints its address and ends with its standard input.
func serveGRPC(in io.Reader, out io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it lives as long as the process
	if err != nil {
		return err
	}
	s := grpc.NewServer(grpc.MaxRecvMsgSize(maxBlob))
	RegisterWorkServer(s, server{})
	go func() {
		_, _ = io.Copy(io.Discard, in)
		s.Stop()
	}()
	fmt.Fprintln(out, l.Addr())
	return s.Serve(l)
}

// startGRPC starts a gRPC-go server without TLS and authentication.
func startGRPC(ctx context.Context) (*peer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "serve-grpc") //nolint:gosec,noctx // this program; stop ends it
	cmd.Env = baseEnv()
	p, addr, err := startWithAddress(ctx, "the gRPC server", cmd)
	if err != nil {
		return nil, err
	}
	return &peer{name: nameGRPC, version: "grpc-go " + grpc.Version, pid: p.cmd.Process.Pid, stop: p.stop,
		dial: func(context.Context) (caller, error) {
			conn, err := grpc.NewClient("passthrough:///"+addr,
				grpc.WithTransportCredentials(insecure.NewCredentials()),
				grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxBlob)))
			if err != nil {
				return nil, err
			}
			return &unary{NewWorkClient(conn), conn}, nil
		}}, nil
}

// unary makes calls by gRPC.
type unary struct {
	client WorkClient
	conn   io.Closer // nil for a shared connection
}

// call implements caller.
func (u *unary) call(ctx context.Context, w *work) error {
	switch {
	case w.method == "add":
		n, err := u.client.Add(ctx, &Pair{A: w.a, B: w.b})
		if err != nil {
			return err
		}
		return w.checkSum(n.GetValue())
	case w.blob != nil:
		b, err := u.client.EchoBytes(ctx, &Blob{Value: w.blob})
		if err != nil {
			return err
		}
		return w.checkBlob(b.GetValue())
	default:
		t, err := u.client.Echo(ctx, &Text{Value: w.text})
		if err != nil {
			return err
		}
		return w.checkText(t.GetValue())
	}
}

// batch implements caller.
func (*unary) batch(context.Context, *work, int) error { return errNoBatch }

func (u *unary) close() {
	if u.conn != nil {
		_ = u.conn.Close()
	}
}
