package host

import (
	"bytes"
	"compress/zlib"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/gateway/pyro"
	"github.com/hearthhost/hearth/gateway/pyro/handshake"
	"github.com/hearthhost/hearth/transport/signed"
	"github.com/hearthhost/hearth/wire"
)

// deflate compresses b with zlib, like Pyro.
func deflate(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestCompressedConnect sends handshakes with the compressed flag, one of which exceeds the size limit when inflated.
// The host does not inflate those of unauthenticated peers. For other peers the limit applies to the inflated size.
func TestCompressedConnect(t *testing.T) {
	h, _ := gatedHost(t, newGate())
	connect := func(c io.ReadWriter, payload []byte) string {
		send(t, c, &wire.Message{Type: wire.Connect, Flags: wire.Compressed, Payload: payload})
		var m wire.Message
		if err := wire.NewReader(c, 0).Read(&m); err != nil || m.Type != wire.ConnectFail {
			t.Errorf("the reply to CONNECT is %v, %v", m.Type, err)
		}
		return string(m.Payload)
	}
	dial := func() net.Conn {
		nc, err := net.Dial("tcp", h.Addrs()[0])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		return nc
	}
	bomb := deflate(t, []byte(`{"handshake":"`+strings.Repeat("x", handshake.MaxBytes)+`","object":"Pyro.Daemon"}`))
	for kind, payload := range map[string][]byte{"a zip bomb": bomb, "uncompressed data": []byte("x")} {
		if got := connect(dial(), payload); !strings.Contains(got, "access denied") {
			t.Errorf("%s from an unauthenticated peer: %q", kind, got)
		}
	}
	if got := connect(signed.Client(dial(), "alice-1", signed.Key{}), bomb); !strings.Contains(got, "large") {
		t.Errorf("a zip bomb from alice: %q", got)
	}
}

// TestPartialMessage sends a part of a message: the host disconnects the client when the timeout of the message or of
// its next part expires. It does not disconnect a client that is idle between messages.
func TestPartialMessage(t *testing.T) {
	const short = 200 * time.Millisecond
	t.Run("the whole message", func(t *testing.T) {
		testPartialMessage(t, func(c *pyro.Config) { c.MessageTimeout = short })
	})
	t.Run("the next part", func(t *testing.T) {
		testPartialMessage(t, func(c *pyro.Config) { c.StallTimeout = short })
	})
}

func testPartialMessage(t *testing.T, set func(*pyro.Config)) {
	t.Helper()
	h, _ := sharingHost(t, sharesPolicy, func(h *Host) {
		cfg := h.pyroConfig()
		set(&cfg)
		h.pyro = pyro.NewServer(cfg)
	}, answerOne)
	idle, partial := connectAs(t, h, "alice-1"), connectAs(t, h, "alice-1")
	b, err := wire.Append(nil, &wire.Message{Protocol: wire.Pyro5, Type: wire.Ping, Payload: make([]byte, 1<<20)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := partial.Write(b[:len(b)/2]); err != nil {
		t.Fatal(err)
	}
	_ = partial.SetReadDeadline(time.Now().Add(time.Minute))
	if n, err := partial.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after a partial message: %d bytes, %v, want a closed connection", n, err)
	}
	send(t, idle, &wire.Message{Type: wire.Ping})
	var m wire.Message
	if err := wire.NewReader(idle, 0).Read(&m); err != nil || m.Type != wire.Ping {
		t.Errorf("the reply to a ping of the idle client is %v, %v", m.Type, err)
	}
}
