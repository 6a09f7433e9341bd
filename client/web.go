package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/web"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// webClient makes calls over HTTP. Safe for concurrent use.
type webClient struct {
	client *Client
	http   *http.Client
	base   string // "https://host:port", without a path

	mu     sync.Mutex // guards the fields below
	open   map[*webConn]bool
	closed bool
}

// webConn is a connection of a webClient.
type webConn struct {
	net.Conn
	w *webClient
}

// Close closes the connection.
func (c *webConn) Close() error {
	c.w.mu.Lock()
	delete(c.w.open, c)
	c.w.mu.Unlock()
	return c.Conn.Close()
}

// dial opens a connection.
func (w *webClient) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	nc, err := w.client.cfg.Dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c := &webConn{nc, w}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		nc.Close()
		return nil, errClosed
	}
	w.open[c] = true
	return c, nil
}

// close closes all connections. Running calls fail.
func (w *webClient) close() {
	w.mu.Lock()
	w.closed = true
	open := slices.Collect(maps.Keys(w.open))
	w.mu.Unlock()
	for _, c := range open {
		c.Conn.Close()
	}
	w.http.CloseIdleConnections()
}

// isWeb reports whether an address is that of an HTTP listener.
func isWeb(address string) bool {
	return strings.HasPrefix(address, "http://") || strings.HasPrefix(address, "https://") ||
		strings.HasPrefix(address, "http+unix:")
}

// newWebClient returns the client of an HTTP listener. The environment has no effect on it: it uses no proxy.
func newWebClient(c *Client) (*webClient, error) {
	cfg := &c.cfg
	w := &webClient{client: c, open: map[*webConn]bool{}}
	t := &http.Transport{
		MaxConnsPerHost:     cfg.MaxConns,
		MaxIdleConnsPerHost: cfg.MaxConns,
		IdleConnTimeout:     90 * time.Second,
		ForceAttemptHTTP2:   true,
		TLSClientConfig:     cfg.TLS.Clone(),
		DialContext:         w.dial,
		// A reply is bounded by its size after it is inflated.
		DisableCompression: true,
	}
	base, local := strings.TrimSuffix(cfg.Address, "/"), false
	if path, ok := strings.CutPrefix(cfg.Address, "http+unix:"); ok {
		base, local = "http://localhost", true
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return w.dial(ctx, "unix", path) }
	}
	scheme, host, _ := strings.Cut(base, "://")
	switch {
	case host == "" || strings.ContainsAny(host, "/?#@ "):
		return nil, object.Errorf(object.CodeInvalid, "address %q: write http://host:port, https://host:port or "+
			"http+unix:<path>", cfg.Address)
	case cfg.KeyID != "":
		return nil, object.Errorf(object.CodeInvalid, "HTTP has no HMAC channel: use Bearer, or a certificate in TLS")
	case cfg.Bearer != "" && scheme == "http" && !local && !loopback(host):
		return nil, object.Errorf(object.CodeInvalid,
			"address %q: a bearer key is sent over https, or to a loopback address or a Unix socket, only", cfg.Address)
	case strings.ContainsFunc(cfg.Bearer, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, object.Errorf(object.CodeInvalid, "Bearer has a space or a character that is not ASCII")
	}
	w.base, w.http = base, &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return w, nil
}

// loopback reports whether a host with an optional port is this machine.
func loopback(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	addr, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return name == "localhost" || err == nil && addr.IsLoopback()
}

// webRequest is a call over HTTP.
type webRequest struct {
	method  string // of HTTP
	id      object.ID
	member  string // "" for the description of the object
	body    []byte
	headers map[string]string
	stream  bool // the reply is an item stream
}

// send makes a request and returns its answer, whose body the caller closes.
func (w *webClient) send(ctx context.Context, r *webRequest) (*http.Response, error) {
	path := string(r.id)
	if r.member != "" {
		path += "/" + r.member
	}
	if path == "" || strings.ContainsFunc(path, notInPath) || strings.Count(path, "/") > 1 {
		return nil, &CallError{Executed: No, Err: object.Errorf(object.CodeInvalid,
			"%q is not the id of an object and a name of a member", path)}
	}
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(info httptrace.WroteRequestInfo) {
		if info.Err == nil {
			sent.Store(true)
		}
	}})
	req, err := http.NewRequestWithContext(ctx, r.method, w.base+"/v1/objects/"+path, bytes.NewReader(r.body))
	if err != nil {
		return nil, &CallError{Executed: No, Err: err}
	}
	if len(r.body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.stream {
		req.Header.Set("Accept", "text/event-stream")
	}
	if w.client.cfg.Bearer != "" {
		req.Header.Set("Authorization", "Bearer "+w.client.cfg.Bearer)
	}
	for name, value := range r.headers {
		req.Header.Set(name, value)
	}
	resp, err := w.http.Do(req)
	if err == nil {
		return resp, nil
	}
	if sent.Load() {
		return nil, wrapError(ctx, Unknown, "waiting for the reply", err)
	}
	return nil, wrapError(ctx, No, "sending the request to "+w.client.cfg.Address, err)
}

// notInPath reports whether a character cannot be in the path of a call.
func notInPath(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`?#%\"<>^{}|`+"`", r) }

// do makes a request and returns the value of its reply, nil for a reply without one.
func (w *webClient) do(ctx context.Context, r *webRequest) (any, error) {
	ctx, cancel := w.bounded(ctx)
	defer cancel()
	resp, err := w.send(ctx, r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch kind := mediaType(resp.Header); {
	case resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusAccepted:
		return nil, nil
	case resp.StatusCode == http.StatusOK && (kind == "application/x-ndjson" || kind == "text/event-stream"):
		return nil, &CallError{Executed: Yes, Err: ErrStream} // the end of the connection closes it
	case resp.StatusCode == http.StatusOK && kind == "application/json":
		doc, err := w.read(ctx, resp.Body)
		if err != nil {
			return nil, err
		}
		return decodeWeb(doc)
	}
	return nil, w.problem(ctx, resp)
}

// bounded adds the client's timeout to a context without a deadline.
func (w *webClient) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); !ok && w.client.cfg.Timeout > 0 {
		return context.WithTimeout(ctx, w.client.cfg.Timeout)
	}
	return ctx, func() {}
}

// read reads a reply of at most MaxMessageBytes.
func (w *webClient) read(ctx context.Context, in io.Reader) ([]byte, error) {
	most := w.client.cfg.MaxMessageBytes
	doc, err := io.ReadAll(io.LimitReader(in, int64(most)+1))
	switch {
	case err != nil:
		return nil, wrapError(ctx, Yes, "reading the reply", err)
	case len(doc) > most:
		return nil, &CallError{Executed: Yes, Err: object.Errorf(object.CodeTooLarge,
			"reading the reply: Config.MaxMessageBytes bounds it")}
	}
	return doc, nil
}

// decodeWeb returns the value of a document.
func decodeWeb(doc []byte) (any, error) {
	var b codec.Builder
	if err := web.Decode(doc, codec.Limits{}, &b); err != nil {
		return nil, &CallError{Executed: Yes, Err: err}
	}
	return b.Value(), nil
}

// mediaType returns the media type of an answer without its parameters.
func mediaType(h http.Header) string {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return kind
}

// maxProblemBytes bounds the body of an error.
const maxProblemBytes = 256 << 10

// problem returns the error of an answer that is not a reply.
func (w *webClient) problem(ctx context.Context, resp *http.Response) error {
	if mediaType(resp.Header) != "application/problem+json" {
		return badReply(Unknown, "%s answers with status %d and no problem of a host: is it an HTTP listener of one?",
			w.client.cfg.Address, resp.StatusCode)
	}
	doc, err := io.ReadAll(io.LimitReader(resp.Body, maxProblemBytes))
	if err != nil {
		return wrapError(ctx, Unknown, "reading the error", err)
	}
	return problemError(doc)
}

// problemError returns the error of a problem.
func problemError(doc []byte) error {
	var p struct {
		Type      string   `json:"type"`
		Detail    string   `json:"detail"`
		Executed  string   `json:"executed"`
		Class     string   `json:"class"`
		Traceback []string `json:"traceback"`
	}
	err := json.Unmarshal(doc, &p)
	name, known := strings.CutPrefix(p.Type, "urn:hearth:problem:")
	if err != nil || !known {
		return badReply(Unknown, "an error that cannot be read")
	}
	if name == object.CodeRaised.String() {
		e := &RemoteError{Class: p.Class, Traceback: p.Traceback}
		if p.Detail != "" {
			e.Args = []any{p.Detail}
		}
		return e
	}
	executed := Unknown
	switch p.Executed {
	case "no":
		executed = No
	case "yes":
		executed = Yes
	}
	return &CallError{Executed: executed, Err: &object.Error{Code: codeNamed(name), Msg: p.Detail, Class: p.Class}}
}

// codeNamed returns the code with a name, CodeInternal for an unknown one.
func codeNamed(name string) object.Code {
	for c := object.CodeOK; c <= object.CodeRetired; c++ {
		if c.String() == name {
			return c
		}
	}
	return object.CodeInternal
}

// webArguments returns the body of a call.
func webArguments(args []any, kw map[string]any) ([]byte, error) {
	var v any = args
	switch {
	case len(args) > 0 && len(kw) > 0:
		return nil, object.Errorf(object.CodeInvalid, "a call over HTTP has positional or keyword arguments, not both")
	case len(args) == 0 && len(kw) == 0:
		return nil, nil
	case len(kw) > 0:
		v = kw
	}
	return encodeWeb(v)
}

func encodeWeb(v any) ([]byte, error) {
	e := web.Lookup(web.JSON).NewEncoder(nil)
	if err := codec.Write(e, v); err != nil {
		return nil, err
	}
	return e.Document()
}

// invoke calls a method.
func (w *webClient) invoke(ctx context.Context, o *Object, r request) (any, error) {
	body, err := webArguments(r.args, r.kw)
	if err != nil {
		return nil, &CallError{Executed: No, Err: err}
	}
	one := &webRequest{method: http.MethodPost, id: o.id, member: r.method, body: body, headers: map[string]string{}}
	if r.once != "" {
		if strings.ContainsFunc(r.once, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }) {
			return nil, &CallError{Executed: No,
				Err: errors.New("the idempotency key has a character that HTTP cannot send")}
		}
		one.headers["Idempotency-Key"] = `"` + r.once + `"`
	}
	if r.flags&wire.Oneway != 0 {
		one.headers["Prefer"] = "respond-async"
	}
	o.addSession(one)
	return w.do(ctx, one)
}

// get reads an attribute, set writes one.
func (w *webClient) get(ctx context.Context, o *Object, attr string) (any, error) {
	one := &webRequest{method: http.MethodGet, id: o.id, member: attr, headers: map[string]string{}}
	o.addSession(one)
	return w.do(ctx, one)
}

func (w *webClient) set(ctx context.Context, o *Object, attr string, v any) error {
	body, err := encodeWeb(v)
	if err != nil {
		return &CallError{Executed: No, Err: err}
	}
	one := &webRequest{method: http.MethodPut, id: o.id, member: attr, body: body, headers: map[string]string{}}
	o.addSession(one)
	_, err = w.do(ctx, one)
	return err
}

// sessionHeader has the id of a session.
const sessionHeader = "Hearth-Session"

func (o *Object) addSession(r *webRequest) {
	if s, ok := o.source.(*Session); ok {
		r.headers[sessionHeader] = s.web
	}
}

// session opens a session, or ends it.
func (w *webClient) session(ctx context.Context, method, id string) (string, error) {
	ctx, cancel := w.bounded(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, w.base+"/v1/session", nil)
	if err != nil {
		return "", &CallError{Executed: No, Err: err}
	}
	if id != "" {
		req.Header.Set(sessionHeader, id)
	}
	if w.client.cfg.Bearer != "" {
		req.Header.Set("Authorization", "Bearer "+w.client.cfg.Bearer)
	}
	resp, err := w.http.Do(req)
	if err != nil {
		return "", wrapError(ctx, Unknown, "opening a session", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		return "", w.problem(ctx, resp)
	}
	return resp.Header.Get(sessionHeader), nil
}

// metadata reads the description of an object.
func (w *webClient) metadata(ctx context.Context, o *Object) (m Metadata, err error) {
	ctx, cancel := w.bounded(ctx)
	defer cancel()
	resp, err := w.send(ctx, &webRequest{method: http.MethodGet, id: o.id})
	if err != nil {
		return m, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return m, w.problem(ctx, resp)
	}
	doc, err := w.read(ctx, resp.Body)
	if err != nil {
		return m, err
	}
	var about object.Description
	if err := json.Unmarshal(doc, &about); err != nil {
		return m, badReply(Yes, "the description cannot be read: %v", err)
	}
	for _, one := range about.Members { // sorted by name
		name := string(one.Name)
		if one.Method {
			m.Methods = append(m.Methods, name)
		}
		if one.Oneway {
			m.Oneway = append(m.Oneway, name)
		}
		if one.Get || one.Set {
			m.Attrs = append(m.Attrs, name)
		}
	}
	return m, nil
}
