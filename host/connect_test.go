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

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/transport/signed"
	"github.com/hearthhost/hearth/wire"
)

// deflate compresses as Pyro does.
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

// TestCompressedConnect sends handshakes that would grow: nothing of a stranger is
// inflated, and what others may send is bounded as if it were not compressed.
func TestCompressedConnect(t *testing.T) {
	h, _ := gatedHost(t, newGate())
	connect := func(c io.ReadWriter, payload []byte) string {
		send(t, c, &wire.Message{Type: wire.Connect, Flags: wire.Compressed, Payload: payload})
		var m wire.Message
		if err := wire.NewReader(c, 0).Read(&m); err != nil || m.Type != wire.ConnectFail {
			t.Errorf("CONNECT was answered with %v, %v", m.Type, err)
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
	bomb := deflate(t, []byte(`{"handshake":"`+strings.Repeat("x", maxHandshakeBytes)+`","object":"Pyro.Daemon"}`))
	for what, payload := range map[string][]byte{"a bomb": bomb, "what is not compressed": []byte("x")} {
		if got := connect(dial(), payload); !strings.Contains(got, "access denied") {
			t.Errorf("%s of a stranger: %q", what, got)
		}
	}
	if got := connect(signed.Client(dial(), "alice-1", signed.Key{}), bomb); !strings.Contains(got, "large") {
		t.Errorf("a bomb of alice: %q", got)
	}
}

// TestHalfAMessage: a client that sends a part of a message and no more is disconnected, by the time for the whole
// message or for its next part. A client that is idle between messages is not.
func TestHalfAMessage(t *testing.T) {
	t.Run("the whole message", func(t *testing.T) { halfAMessage(t, &messageTimeout) })
	t.Run("its next part", func(t *testing.T) { halfAMessage(t, &stallTimeout) })
}

func halfAMessage(t *testing.T, timeout *time.Duration) {
	t.Helper()
	was := *timeout
	*timeout = 200 * time.Millisecond
	t.Cleanup(func() { *timeout = was })
	h, _ := gatedHost(t, newGate())
	quiet, half := connectAs(t, h, "alice-1"), connectAs(t, h, "alice-1")
	b, err := wire.Append(nil, &wire.Message{Protocol: object.Pyro5, Type: wire.Ping, Payload: make([]byte, 1<<20)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := half.Write(b[:len(b)/2]); err != nil {
		t.Fatal(err)
	}
	_ = half.SetReadDeadline(time.Now().Add(time.Minute))
	if n, err := half.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after half a message: %d bytes, %v, want the end", n, err)
	}
	send(t, quiet, &wire.Message{Type: wire.Ping})
	var m wire.Message
	if err := wire.NewReader(quiet, 0).Read(&m); err != nil || m.Type != wire.Ping {
		t.Errorf("a ping after silence was answered with %v, %v", m.Type, err)
	}
}
