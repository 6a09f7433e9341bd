package web_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/gateway/web"
	"github.com/hearthhost/hearth/host"
)

// connection is one connection to a host, on which the test writes requests byte by byte.
type connection struct {
	net.Conn
	in *bufio.Reader
}

// dial connects to the host, until the end of the test.
func (f *fixture) dial(t *testing.T) *connection {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return &connection{c, bufio.NewReader(c)}
}

func (c *connection) write(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// answer reads one answer with its body.
func (c *connection) answer(t *testing.T) *http.Response {
	t.Helper()
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp
}

func (c *connection) request(t *testing.T, method, path, body string) *http.Response {
	t.Helper()
	c.write(t, fmt.Sprintf("%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+
		"Content-Length: %d\r\n\r\n%s", method, path, len(body), body))
	return c.answer(t)
}

// ended reports whether the host ends the connection, after at most one answer, whose status it returns.
func (c *connection) ended(t *testing.T) (status int) {
	t.Helper()
	resp, err := http.ReadResponse(c.in, nil)
	if err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		status = resp.StatusCode
		_, err = c.in.ReadByte()
	}
	if netErr, ok := err.(net.Error); err == nil || ok && netErr.Timeout() { //nolint:errorlint // not wrapped
		t.Errorf("the host did not end the connection: %v", err)
	}
	return status
}

// short is a time limit that a test waits for.
const short = 100 * time.Millisecond

// serveWithin starts a host with time limits.
func serveWithin(t *testing.T, limits web.Timeouts) *fixture {
	t.Helper()
	return serve(t, "", rules, func(c *host.Config) { c.HTTP = limits })
}

const slowStart = "POST /v1/objects/acme.echo/echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

// TestSlowHeader sends the headers of a request slower than the limit (Slowloris), and idle connections.
func TestSlowHeader(t *testing.T) {
	f := serveWithin(t, web.Timeouts{Header: short, Idle: short})
	for name, text := range map[string]string{
		"nothing":       "",
		"half a header": slowStart + "X: y\r\n",
		"half a line":   "POST /v1/obj",
	} {
		c := f.dial(t)
		c.write(t, text)
		if status := c.ended(t); status != 0 && status < 400 {
			t.Errorf("%s: status %d", name, status)
		}
	}
	// Each line is in time, and the header is not.
	c := f.dial(t)
	c.write(t, slowStart)
	go drip(c, "X: y\r\n")
	if status := c.ended(t); status != 0 && status < 400 {
		t.Errorf("a header of many lines: status %d", status)
	}
	c = f.dial(t)
	if resp := c.request(t, "POST", "/v1/objects/acme.echo/echo", "[1]"); resp.StatusCode != 200 {
		t.Errorf("a request in time: %d", resp.StatusCode)
	}
	if status := c.ended(t); status != 0 {
		t.Errorf("an idle connection: status %d", status)
	}
}

// drip writes a text again and again until the host closes the connection.
func drip(c *connection, text string) {
	for {
		if _, err := io.WriteString(c, text); err != nil {
			return
		}
		runtime.Gosched()
	}
}

// TestSlowBody sends the bodies of requests slower than the limits.
func TestSlowBody(t *testing.T) {
	f := serveWithin(t, web.Timeouts{Stall: short})
	c := f.dial(t)
	c.write(t, slowStart+"Content-Length: 10\r\n\r\n[1")
	if status := c.ended(t); status != http.StatusRequestTimeout {
		t.Errorf("a body that stalls: status %d", status)
	}
	// The body of a refused request is not waited for either.
	for name, text := range map[string]string{
		"another type": strings.Replace(slowStart, "application/json", "text/plain", 1),
		"hidden":       strings.Replace(slowStart, "acme.echo", "other.hidden", 1),
		"query":        strings.Replace(slowStart, "/echo HTTP", "/echo?x HTTP", 1),
		"host":         strings.Replace(slowStart, "localhost", "evil.example", 1),
	} {
		c := f.dial(t)
		c.write(t, text+"Content-Length: 10\r\n\r\n[1")
		if status := c.ended(t); status < 400 {
			t.Errorf("%s: status %d", name, status)
		}
	}
	f = serveWithin(t, web.Timeouts{Body: short})
	c = f.dial(t)
	c.write(t, slowStart+"Content-Length: 4000000\r\n\r\n[1")
	go drip(c, " ")
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil || resp.StatusCode != http.StatusRequestTimeout {
		t.Errorf("a body of single bytes: %v, %v", resp, err)
	}
}

// TestHeartbeat reads a stream whose items take long.
func TestHeartbeat(t *testing.T) {
	f := serveWithin(t, web.Timeouts{Heartbeat: time.Millisecond})
	for accept, want := range map[string]string{"application/x-ndjson": "\n", "text/event-stream": ":\n"} {
		r, err := http.NewRequestWithContext(t.Context(), "POST", f.url+"/v1/objects/acme.echo/laborious", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", accept)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(resp.Body).ReadString('\n')
		resp.Body.Close()
		if err != nil || line != want {
			t.Errorf("%s: %q, %v", accept, line, err)
		}
	}
}

// TestIdleSessions makes more sessions than a principal may have. Idle ones end and make room.
func TestIdleSessions(t *testing.T) {
	f := serveWithin(t, web.Timeouts{Session: time.Millisecond})
	for made := 0; made < 2*web.MaxSessions; { // the test's time limit ends the wait
		switch a := f.do(t, "POST", "/v1/session", ""); a.status {
		case 204:
			made++
		case 429:
			runtime.Gosched()
		default:
			t.Fatalf("a new session: %v", a)
		}
	}
}
