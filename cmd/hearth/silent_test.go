package main_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/client"
)

// A thousand silent connections do not affect others: a connected client can call, and a new one can connect.
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

// TestHalfOpenChannels stops a thousand clients in the middle of every kind of handshake. An authenticated client can
// call, a new one can connect, and the stopped ones use little memory.
func TestHalfOpenChannels(t *testing.T) {
	const halfOpen = 1000
	h := startIdentityHost(t)
	key := client.Profile{Channel: "hmac", Key: "alice.key.txt"}
	old := h.session(portSigned, key)
	before := residentKiB(t, h.pid)
	clientHello := "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
	stops := []struct {
		port int
		said string
	}{
		{portTLS, ""}, {portTLS, clientHello[:1]}, {portTLS, clientHello}, {portTLS, "P"},
		{portSigned, "H"}, {portSigned, "HRTHMAC1"}, {portSigned, "HRTHMAC1\x07alice-2"},
		{portSigned, "HRTHMAC1\x07alice-2" + strings.Repeat("n", 32)}, // and never a proof
	}
	for i := range halfOpen {
		stop := stops[i%len(stops)]
		nc, err := net.Dial("tcp", h.ports[stop.port])
		check(t, err)
		defer nc.Close()
		_, _ = io.WriteString(nc, stop.said)
		if i%100 == 0 {
			if _, err := old.Object("me.who").Call(t.Context(), "who"); err != nil {
				t.Fatalf("after %d half-open connections: %v", i, err)
			}
		}
	}
	for _, p := range []client.Profile{key, {Channel: "tls", CA: "ca.pem", Key: "alice.key.txt"}} {
		if got := h.who(portTLS, p); !strings.HasPrefix(got, "alice") {
			t.Errorf("a new client: %s", got)
		}
	}
	if grown := residentKiB(t, h.pid) - before; grown > 64*halfOpen {
		t.Errorf("%d half-open connections cost %d KiB", halfOpen, grown)
	}
}

// residentKiB returns the resident memory of a process in KiB, 0 on systems without /proc.
func residentKiB(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var n int
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &n); err == nil {
			return n
		}
	}
	return 0
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
	if kind := g.roundTrip(t, hello); kind != "connected" {
		t.Fatalf("a good client's handshake was answered with %q", kind)
	}
	return g
}

func (g *goodClient) calls(t *testing.T, call []byte, n int) {
	t.Helper()
	for range n {
		if kind := g.roundTrip(t, call); kind != "ok" {
			t.Fatalf("a good call was answered with %q", kind)
		}
	}
}

// roundTrip sends a message and returns the kind of the reply.
func (g *goodClient) roundTrip(t *testing.T, message []byte) string {
	t.Helper()
	check(t, g.nc.SetDeadline(time.Now().Add(time.Minute)))
	_, err := g.nc.Write(message)
	check(t, err)
	m, err := readMessage(g.in)
	check(t, err)
	return m.kind()
}
