package web_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// raw sends bytes on a new connection and returns the statuses of the answers. It reads until the host closes the
// connection.
func (f *fixture) raw(t *testing.T, request string) (statuses []int) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	for in := bufio.NewReader(c); ; {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return statuses
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		statuses = append(statuses, resp.StatusCode)
	}
}

// TestSmuggling sends requests whose end programs can see in different places, each followed by the beginning of a
// second request. The host must answer once, with an error.
func TestSmuggling(t *testing.T) {
	f := serve(t, "", rules)
	const start = "POST /v1/objects/acme.counter/add HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	const first = start + "Content-Length: 4\r\n\r\n[10]"
	const second = start + "Connection: close\r\nContent-Length: 4\r\n\r\n[10]"
	for name, request := range map[string]string{
		"CL.TE":         start + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"TE.CL":         start + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n",
		"two CL":        start + "Content-Length: 0\r\nContent-Length: 3\r\n\r\n",
		"same CL":       start + "Content-Length: 3\r\nContent-Length: 3\r\n\r\n[1]",
		"CL list":       start + "Content-Length: 3, 3\r\n\r\n[1]",
		"obs-fold":      start + "X: y\r\n Content-Length: 3\r\nContent-Length: 0\r\n\r\n",
		"bare LF":       start + "X: y\nContent-Length: 3\r\n\r\n[1]",
		"LF only":       strings.ReplaceAll(start+"Content-Length: 3\r\n\r\n", "\r", "") + "[1]",
		"CR in a value": start + "X: y\rContent-Length: 9\r\nContent-Length: 3\r\n\r\n[1]",
		"space colon":   start + "Content-Length : 3\r\n\r\n[1]",
		"NUL":           start + "X: \x00\r\nContent-Length: 3\r\n\r\n[1]",
		"chunked":       start + "Transfer-Encoding: chunked\r\n\r\n3\r\n[1]\r\n0\r\n\r\n",
		"TE twice":      start + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
		"TE unknown":    start + "Transfer-Encoding: xchunked\r\n\r\n",
	} {
		if got := f.raw(t, request+second); len(got) > 1 || len(got) == 1 && got[0] < 400 {
			t.Errorf("%s: answers %v, want one error", name, got)
		}
	}
	if a := f.do(t, "GET", "/v1/objects/acme.counter/total", ""); a.body != "0" {
		t.Errorf("the counter is %s: a request was executed", a.body)
	}
	if got := f.raw(t, first+second); len(got) != 2 || got[0] != 200 || got[1] != 200 {
		t.Errorf("two well-formed requests: %v", got)
	}
}

// TestPaths sends paths that other programs could decode to another path.
func TestPaths(t *testing.T) {
	f := serve(t, "", rules)
	for path, want := range map[string]int{
		"/v1/objects/acme.counter/total":       200,
		"/v1/objects/acme%2Ecounter/total":     400,
		"/v1/objects/acme%2ecounter/total":     400,
		"/v1/objects/%61cme.counter/total":     400,
		"/v1/objects/acme.counter%2Ftotal":     400,
		"/v1/objects/acme.counter%2ftotal":     400,
		"/v1/objects//acme.counter/total":      400,
		"//v1/objects/acme.counter/total":      400,
		"/v1/objects/x/../acme.counter/total":  400,
		"/v1/objects/x/%2e%2e/acme.counter":    400,
		"/v1/./objects/acme.counter/total":     400,
		"/v1/objects/acme.counter;a=b/total":   400,
		"/v1/objects/acme.counter/total/":      400,
		"/v1/objects/acme.counter/total%00":    400,
		"/v1/objects/acme.counter/total%253A":  400,
		"/v1/objects/acme.counter\\total":      400,
		"/v1/objects/acme.counter/total?":      400,
		"/v1/objects/acme.counter/total?key=x": 400,
		"/v1/objects/acme.counter/total/x":     404,
		"/V1/objects/acme.counter/total":       404,
		"/":                                    200,
	} {
		got := f.raw(t, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		if len(got) != 1 || got[0] != want {
			t.Errorf("%s: %v, want %d", path, got, want)
		}
	}
}

// TestRebinding sends headers Host of a page whose name was rebound to this machine.
func TestRebinding(t *testing.T) {
	f := serve(t, "", rules)
	port := f.url[strings.LastIndexByte(f.url, ':'):]
	for host, want := range map[string]int{
		"localhost": 200, "LocalHost" + port: 200, "127.0.0.1": 200, "127.0.0.1" + port: 200,
		"evil.example": 421, "evil.example" + port: 421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421,
		"127.0.0.2": 421, "[::1]": 421, "0.0.0.0": 421, "localhost.": 421,
	} {
		if a := f.do(t, "GET", "/v1/objects", "", "Host", host); a.status != want {
			t.Errorf("Host %s: %v, want %d", host, a, want)
		}
	}
	f = serve(t, `hosts = ["hearth.example", "other.example:8443"]`, rules)
	for host, want := range map[string]int{"hearth.example": 200, "HEARTH.example:1": 200, "other.example:8443": 200,
		"other.example": 421, "localhost": 421, "127.0.0.1": 421} {
		if a := f.do(t, "GET", "/v1/objects", "", "Host", host); a.status != want {
			t.Errorf("Host %s: %v, want %d", host, a, want)
		}
	}
}

// TestOrigins makes requests as browsers make them for pages of other origins.
func TestOrigins(t *testing.T) {
	f := serve(t, `cors = ["https://app.example"]`, rules)
	const path = "/v1/objects/acme.counter/total"
	for _, tt := range []struct {
		name, method string
		headers      []string
		status       int
		allowed      string
	}{
		{"no browser", "GET", nil, 200, ""},
		{"cross-site", "GET", []string{"Sec-Fetch-Site", "cross-site"}, 403, ""},
		{"same-site", "GET", []string{"Sec-Fetch-Site", "same-site"}, 403, ""},
		{"same-origin", "GET", []string{"Sec-Fetch-Site", "same-origin"}, 200, ""},
		{"other origin", "PUT", []string{"Origin", "https://evil.example"}, 403, ""},
		{"null", "PUT", []string{"Origin", "null"}, 403, ""},
		{"old browser", "GET", []string{"Origin", "https://evil.example"}, 403, ""},
		{"permitted", "PUT", []string{"Origin", "https://app.example", "Sec-Fetch-Site", "cross-site"}, 204,
			"https://app.example"},
		{"preflight", "OPTIONS", []string{"Origin", "https://app.example", "Access-Control-Request-Method", "PUT"}, 204,
			"https://app.example"},
		{"foreign preflight", "OPTIONS", []string{"Origin", "https://evil.example", "Access-Control-Request-Method",
			"PUT"}, 405, ""},
		{"suffix", "PUT", []string{"Origin", "https://app.example.evil"}, 403, ""},
	} {
		body := ""
		if tt.method == "PUT" {
			body = "1"
		}
		a := f.do(t, tt.method, path, body, tt.headers...)
		if a.status != tt.status || a.header.Get("Access-Control-Allow-Origin") != tt.allowed {
			t.Errorf("%s: %v, want %d and origin %q", tt.name, a, tt.status, tt.allowed)
		}
	}
}

// TestBodies sends bodies that the host must not read, or not read as JSON.
func TestBodies(t *testing.T) {
	f := serve(t, "", rules)
	const path = "/v1/objects/acme.echo/echo"
	for _, tt := range []struct {
		headers []string
		want    int
	}{
		{[]string{"Content-Type", "application/json; charset=utf-8"}, 200},
		{[]string{"Content-Type", "text/plain"}, 415},
		{[]string{"Content-Type", "application/x-www-form-urlencoded"}, 415},
		{[]string{"Content-Type", "application/json; charset=utf-16"}, 415},
		{[]string{"Content-Type", "application/json", "Content-Type", "text/plain"}, 415},
		{nil, 415},
		{[]string{"Content-Type", "application/json", "Content-Encoding", "gzip"}, 415},
	} {
		headers := append([]string{"Content-Type", ""}, tt.headers...)
		if a := f.do(t, "POST", path, "[1]", headers...); a.status != tt.want {
			t.Errorf("%v: %v, want %d", tt.headers, a, tt.want)
		}
	}
	const start = "POST /v1/objects/acme.echo/echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	if got := f.raw(t, start+"Content-Length: 99999999\r\n\r\n"); len(got) != 1 || got[0] != 413 {
		t.Errorf("a large body: %v, want 413 before the body arrives", got)
	}
	if got := f.raw(t, start+"X: "+strings.Repeat("x", 40<<10)+"\r\n\r\n"); len(got) != 1 || got[0] != 431 {
		t.Errorf("a large header: %v, want 431", got)
	}
	for _, method := range []string{"TRACE", "CONNECT", "PATCH", "FOO", "HEAD"} {
		if a := f.do(t, method, path, ""); a.status != 405 {
			t.Errorf("%s: %v, want 405", method, a)
		}
	}
}
