package main_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/wire"
)

// TestHTTPClient connects HTTP clients to listeners for Pyro clients: they get an HTTP reply, and the log names them as
// HTTP clients.
func TestHTTPClient(t *testing.T) {
	h := startIdentityHost(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // a guard
	defer cancel()
	plain := func(port int) func() (net.Conn, error) {
		return func() (net.Conn, error) { return net.Dial("tcp", h.ports[port]) }
	}
	inTLS := func() (net.Conn, error) {
		return tls.Dial("tcp", h.ports[portTLS], &tls.Config{InsecureSkipVerify: true})
	}
	for name, test := range map[string]struct {
		dial    func() (net.Conn, error)
		request string
	}{
		"plain": {plain(portPeer), "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"},
		"where plain is refused": {plain(portSigned),
			"POST /pyro/demo.counter/add HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"},
		"the magic of HMAC's 'H'": {plain(portSigned), "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n"},
		"a method of HTTP/2":      {plain(portPeer), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
		"PUT, not PYRO":           {plain(portPeer), "PUT / HTTP/1.1\r\n\r\n"},
		"inside TLS":              {inTLS, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"},
	} {
		nc, err := test.dial()
		check(t, err)
		check(t, nc.SetDeadline(time.Now().Add(20*time.Second)))
		_, err = io.WriteString(nc, test.request)
		check(t, err)
		r, err := http.ReadResponse(bufio.NewReader(nc), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		body, err := io.ReadAll(r.Body)
		if r.StatusCode != http.StatusBadRequest || !r.Close || err != nil ||
			!strings.Contains(string(body), "speaks the Pyro protocol here, not HTTP") {
			t.Errorf("%s: %s, close %t, %q, %v", name, r.Status, r.Close, body, err)
		}
		if n, err := nc.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%s: after the answer come %d bytes, %v", name, n, err)
		}
		h.awaitLog(ctx, t, "peer="+nc.LocalAddr().String()+
			` err="an HTTP client connected to a listener for Pyro clients"`)
		nc.Close()
	}

	// HTTPS where there is no TLS.
	_, err := tls.Dial("tcp", h.ports[portPeer], &tls.Config{InsecureSkipVerify: true})
	if err == nil || !strings.Contains(err.Error(), "remote error: tls: handshake failure") {
		t.Errorf("HTTPS on a plain port: %v", err)
	}
	h.awaitLog(ctx, t, "the listener has no tls block, and the client uses TLS or HTTPS")
}

// TestHTTPServer has a client call an HTTP server.
func TestHTTPServer(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	c, err := client.New(client.Config{Address: strings.TrimPrefix(s.URL, "http://"), Timeout: 20 * time.Second})
	check(t, err)
	defer c.Close()
	if err := c.Ping(t.Context()); !errors.Is(err, wire.ErrHTTP) {
		t.Errorf("Ping() = %v", err)
	}
}
