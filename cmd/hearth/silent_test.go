package main_test

import (
	"bufio"
	"net"
	"testing"
	"time"
)

// A thousand connections that say nothing cost the others nothing: a client that was
// there goes on, and a new one is let in.
func TestSilentConnections(t *testing.T) {
	const silent = 1000
	h := startHost(t)
	normal := recorded(t, "pyro4-serpent.jsonl")
	hello, call := named(t, normal, "handshake.req"), named(t, normal, "call_simple.req")

	old := dialGood(t, h, hello)
	old.calls(t, call, 10)
	var quiet []net.Conn
	defer func() {
		for _, nc := range quiet {
			nc.Close()
		}
	}()
	for i := range silent {
		nc, err := net.Dial("tcp", h.tcp)
		if err != nil {
			t.Fatalf("silent connection %d: %v", i, err)
		}
		quiet = append(quiet, nc)
		if i%2 == 0 { // half of them stop in the middle of a header
			_, _ = nc.Write(hello[:10])
		}
		if i%100 == 0 {
			old.calls(t, call, 10)
		}
	}
	old.calls(t, call, 100)
	dialGood(t, h, hello).calls(t, call, 100)
}

// goodClient is a connection that behaves.
type goodClient struct {
	nc net.Conn
	in *bufio.Reader
}

func dialGood(t *testing.T, h *liveHost, hello []byte) *goodClient {
	t.Helper()
	nc, err := net.Dial("tcp", h.tcp)
	check(t, err)
	t.Cleanup(func() { nc.Close() })
	g := &goodClient{nc, bufio.NewReader(nc)}
	if kind := g.ask(t, hello); kind != "connected" {
		t.Fatalf("a good client's handshake was answered with %q", kind)
	}
	return g
}

func (g *goodClient) calls(t *testing.T, call []byte, n int) {
	t.Helper()
	for range n {
		if kind := g.ask(t, call); kind != "ok" {
			t.Fatalf("a good call was answered with %q", kind)
		}
	}
}

// ask sends a message and returns the kind of its answer.
func (g *goodClient) ask(t *testing.T, message []byte) string {
	t.Helper()
	check(t, g.nc.SetDeadline(time.Now().Add(time.Minute)))
	_, err := g.nc.Write(message)
	check(t, err)
	m, err := readMessage(g.in)
	check(t, err)
	return m.kind()
}
