package host

import (
	"bytes"
	"compress/zlib"
	"io"
	"net"
	"strings"
	"testing"

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
