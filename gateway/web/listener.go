package web

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/hearthhost/hearth/internal/peerlog"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/transport"
)

// listener passes opened connections of a listener to net/http. It implements [net.Listener].
type listener struct {
	s        *Server
	from     *transport.Listener
	settings *policy.Listener
	http     *http.Server
	browsers *http.CrossOriginProtection
	opened   chan net.Conn
	closed   context.Context
	close    context.CancelFunc
}

func newListener(s *Server, from *transport.Listener, settings *policy.Listener) *listener {
	l := &listener{s: s, from: from, settings: settings, opened: make(chan net.Conn)}
	l.closed, l.close = context.WithCancel(context.Background())
	l.browsers = http.NewCrossOriginProtection()
	for _, origin := range settings.HTTP.CORS {
		_ = l.browsers.AddTrustedOrigin(origin) // the policy's reader has checked it
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	l.http = &http.Server{
		Handler:           http.HandlerFunc(l.handle),
		ReadHeaderTimeout: s.cfg.Timeouts.Header,
		IdleTimeout:       s.cfg.Timeouts.Idle,
		MaxHeaderBytes:    MaxHeaderBytes,
		Protocols:         protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: MaxConcurrent},
		BaseContext:       func(net.Listener) context.Context { return s.base },
		ConnContext:       l.connContext,
		ConnState:         l.connState,
		ErrorLog:          slog.NewLogLogger(quiet{s.peerLog}, slog.LevelInfo),
	}
	return l
}

// connKey is the key of a request's connection in its context.
type connKey struct{}

// connContext adds the connection to the context of its requests.
func (l *listener) connContext(ctx context.Context, nc net.Conn) context.Context {
	l.s.mu.Lock()
	c := l.s.conns[nc]
	l.s.mu.Unlock()
	return context.WithValue(ctx, connKey{}, c)
}

// connState removes a connection that has ended.
func (l *listener) connState(nc net.Conn, state http.ConnState) {
	if state == http.StateClosed || state == http.StateHijacked {
		l.s.remove(nc)
	}
}

// accept takes connections until the listener is closed.
func (l *listener) accept() {
	var pause time.Duration
	for {
		nc, err := l.from.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // most likely EMFILE
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			l.s.cfg.Log.Error("accepting a connection", "err", err)
			time.Sleep(pause) //nolint:forbidigo // no event reports a free descriptor
			continue
		}
		pause = 0
		l.s.cfg.Usage.Accepted.Add(1)
		c := l.s.admit(nc)
		if c == nil {
			l.s.cfg.Usage.Rejected.Add(1)
			nc.Close()
			continue
		}
		go l.open(c) // ends with the handshake, which has a time limit
	}
}

// open does the handshake of a connection's channel and passes it to net/http.
func (l *listener) open(c *conn) {
	_ = c.raw.SetDeadline(time.Now().Add(l.s.cfg.Timeouts.Open))
	ch, err := l.from.Open(c.raw)
	if err != nil {
		l.refuse(c, err)
		return
	}
	_ = c.raw.SetDeadline(time.Time{})
	c.identify(ch, l)
	nc := c.forHTTP(ch)
	if !l.s.replace(c, nc) { // the server is cut off
		nc.Close()
		return
	}
	select {
	case l.opened <- nc:
	case <-l.closed.Done():
		nc.Close()
		l.s.remove(nc)
	}
}

// refuse closes a connection whose handshake failed.
func (l *listener) refuse(c *conn, err error) {
	if errors.Is(err, transport.ErrPlain) {
		_, _ = io.WriteString(c.raw, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"+
			"Connection: close\r\nContent-Length: 28\r\n\r\nThis listener requires TLS.\n")
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		l.s.peerLog.Log("", slog.LevelInfo, "connection refused", "peer", c.raw.RemoteAddr().String(), "err", err)
	}
	c.raw.Close()
	l.s.remove(c.raw)
}

// Accept implements [net.Listener].
func (l *listener) Accept() (net.Conn, error) {
	select {
	case nc := <-l.opened:
		return nc, nil
	case <-l.closed.Done():
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener]. The host closes the socket.
func (l *listener) Close() error {
	l.close()
	return nil
}

// Addr implements [net.Listener].
func (l *listener) Addr() net.Addr { return address(l.from.Addr()) }

// address is the address of a listener as text.
type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// quiet passes the lines of net/http about faulty clients to the log of peers, which is bounded.
type quiet struct{ log *peerlog.Log }

// Enabled implements [slog.Handler].
func (quiet) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements [slog.Handler].
func (q quiet) Handle(_ context.Context, r slog.Record) error {
	q.log.Log("", slog.LevelDebug, "http: "+r.Message)
	return nil
}

// WithAttrs implements [slog.Handler].
func (q quiet) WithAttrs([]slog.Attr) slog.Handler { return q }

// WithGroup implements [slog.Handler].
func (q quiet) WithGroup(string) slog.Handler { return q }
