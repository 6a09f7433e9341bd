package web_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/internal/upgrade"
)

// TestRetire retires a host: a running request gets its answer, the answer to one more
// request of an open connection closes it, and the host ends when its connections have ended.
func TestRetire(t *testing.T) {
	h, _ := prepare(t, "", rules)
	if err := h.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- h.Serve(ctx) }()
	address := h.Addrs()[0]
	dial := func() (net.Conn, *bufio.Reader) {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		return c, bufio.NewReader(c)
	}
	request := func(c net.Conn, path, body string) {
		text := "POST /v1/objects/" + path + " HTTP/1.1\r\nHost: " + address +
			"\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n" + body
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	answer := func(r *bufio.Reader) *http.Response {
		t.Helper()
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	idle, idleReader := dial()
	request(idle, "acme.counter/add", "[1]")
	if resp := answer(idleReader); resp.StatusCode != http.StatusOK || resp.Close {
		t.Fatalf("before: %d, close = %v", resp.StatusCode, resp.Close)
	} else if _, err := idleReader.Discard(int(resp.ContentLength)); err != nil {
		t.Fatal(err)
	}
	busy, busyReader := dial()
	request(busy, "acme.echo/count", "[9]") // a stream, which is read after the host has retired
	h.Retire(upgrade.Successor{}, time.Minute)
	for retired := false; !retired; {
		c, err := net.Dial("tcp", address)
		if retired = err != nil; !retired {
			_ = c.Close()
		}
	}
	request(idle, "acme.counter/add", "[2]")
	if resp := answer(idleReader); resp.StatusCode != http.StatusOK || !resp.Close {
		t.Errorf("after: %d, close = %v", resp.StatusCode, resp.Close)
	}
	var items strings.Builder
	if resp := answer(busyReader); resp.StatusCode != http.StatusOK {
		t.Errorf("the running request: %d", resp.StatusCode)
	} else if _, err := bufio.NewReader(resp.Body).WriteTo(&items); err != nil {
		t.Error(err)
	}
	if got := strings.Count(items.String(), "\n"); got != 9 {
		t.Errorf("%d items of the running request: %q", got, items.String())
	}
	_ = busy.Close()
	select {
	case err := <-served:
		if err != nil {
			t.Errorf("Serve() = %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("the host has not ended")
	}
}
