package egress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/internal/unsafestr"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/service/egress/rule"
)

// Config configures a [Client]. The functions may be called concurrently.
type Config struct {
	// Secret returns the value of a tenant's secret. ok is false if it has none.
	Secret func(tenant object.Tenant, name string) (value string, ok bool)
	// Own returns the addresses on which this host listens. The client never connects to them.
	Own      func() []netip.AddrPort
	Resolver Resolver         // nil: that of the machine
	Now      func() time.Time // nil: time.Now
}

// Client sends requests by blocks of the policy. It keeps connections, limits and tokens of each block while the block
// does not change. Safe for concurrent use.
type Client struct {
	cfg   Config
	mu    sync.Mutex // guards pools
	pools map[poolKey]*pool
}

type poolKey struct {
	tenant object.Tenant
	name   string
}

// New returns a client. It opens nothing.
func New(cfg Config) *Client { return &Client{cfg: cfg, pools: map[poolKey]*pool{}} }

func (c *Client) now() time.Time {
	if c.cfg.Now != nil {
		return c.cfg.Now()
	}
	return time.Now()
}

// Request is a request of a script. It is not modified.
type Request struct {
	Method  string
	URL     string // absolute, or a path of the block's only host
	Header  []rule.Field
	Body    []byte
	Timeout time.Duration // 0, or more than that of the block: that of the block
}

// Response is the answer of a server. Secrets in it are replaced by marks.
type Response struct {
	Status int
	Header []rule.Field // canonical names, sorted by name
	Body   string
}

// Event is one request that is about to be sent, or that is refused. Its target has no query: that is not recorded.
type Event struct {
	Method string
	Target rule.Target // zero if the URL is not valid
	Denied error       // nil: permitted
}

// userAgent is the header of requests whose script sets none.
const userAgent = "Hearth"

// Do sends a request and reads the whole response. record is called once before anything is sent, with an error for a
// refused request; redirects that are followed, and requests of tokens, are recorded too. If it returns an error for a
// permitted request, nothing is sent. The error is an [object.Error] with one of the classes, or that of ctx.
func (c *Client) Do(ctx context.Context, b *rule.Block, r *Request, record func(Event) error) (*Response, error) {
	x := &exchange{client: c, block: b, request: r, recordEvent: record, state: NotSent}
	resp, err := x.do(ctx)
	if err != nil {
		return nil, x.explain(ctx, err)
	}
	return resp, nil
}

// exchange is one request of a script with its redirects. It belongs to the goroutine that runs it.
type exchange struct {
	client      *Client
	block       *rule.Block
	request     *Request
	recordEvent func(Event) error

	pool     *pool
	header   []rule.Field
	secrets  *secrets
	current  Event       // last recorded event
	wrote    atomic.Bool // a request may have reached a server
	state    State
	deadline error // of the own timer that ended the exchange; errTimeout or errHeaderTimeout
}

var (
	errTimeout       = errors.New("no complete response in time")
	errHeaderTimeout = errors.New("no answer in time")
)

// deniedError is the error of a request that the policy rejects.
type deniedError struct{ err error }

func (e *deniedError) Error() string { return e.err.Error() }

func denied(format string, args ...any) error { return &deniedError{fmt.Errorf(format, args...)} }

func (x *exchange) do(ctx context.Context) (*Response, error) {
	b, r := x.block, x.request
	t, err := b.Check(r.Method, r.URL)
	x.current = Event{Method: r.Method, Target: t}
	if err != nil {
		return nil, denied("egress %q: %w", b.Name, err)
	}
	if x.header, err = b.Headers(r.Header); err != nil {
		return nil, denied("egress %q: %w", b.Name, err)
	}
	limits := b.Limits.WithDefaults()
	if len(r.Body) > limits.RequestBytes {
		return nil, failure(ClassTooLarge, NotSent, "egress %q: the body has %d bytes, at most %d", b.Name,
			len(r.Body), limits.RequestBytes)
	}
	if x.pool, err = x.client.pool(b); err != nil {
		return nil, err
	}
	if x.secrets, err = x.pool.cache.load(b, func(name string) (string, bool) {
		return x.client.cfg.Secret(b.Tenant, name)
	}); err != nil {
		return nil, err
	}
	if !x.pool.bucket.take(x.client.now()) {
		return nil, denied("limit exceeded: egress %q permits %s", b.Name, limits.Rate)
	}
	timeout := limits.Timeout
	if r.Timeout > 0 {
		timeout = min(timeout, r.Timeout)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(timeout, func() { cancel(errTimeout) })
	defer timer.Stop()
	select {
	case x.pool.slots <- struct{}{}:
		defer func() { <-x.pool.slots }()
	case <-ctx.Done():
		x.deadline = context.Cause(ctx)
		return nil, ctx.Err()
	}
	header := time.AfterFunc(min(limits.HeaderTimeout, timeout), func() { cancel(errHeaderTimeout) })
	defer header.Stop()
	resp, err := x.follow(ctx, t)
	header.Stop()
	if err == nil {
		defer resp.Body.Close()
		var out *Response
		if out, err = x.read(resp, limits.ResponseBytes); err == nil {
			return out, nil
		}
	}
	if cause := context.Cause(ctx); cause == errTimeout || cause == errHeaderTimeout {
		x.deadline = cause
	}
	return nil, err
}

// read reads a response.
func (x *exchange) read(resp *http.Response, limit int) (*Response, error) {
	if resp.ContentLength > int64(limit) && resp.Request.Method != http.MethodHead {
		return nil, errTooLarge
	}
	from, err := decoded(resp, limit)
	if err != nil {
		return nil, fmt.Errorf("read the response: %w", err)
	}
	var b bytes.Buffer
	if n := resp.ContentLength; n > 0 && n <= int64(limit) && n <= 64<<10 {
		b.Grow(int(n) + bytes.MinRead)
	}
	if _, err := b.ReadFrom(from); err != nil {
		return nil, fmt.Errorf("read the response: %w", err)
	}
	out := &Response{Status: resp.StatusCode}
	text := unsafestr.Text(b.Bytes())
	if out.Body = x.redact(text); len(out.Body) > limit+limit/2 { // a server that repeats short secrets
		return nil, errTooLarge
	}
	for name, list := range resp.Header {
		for _, v := range list {
			out.Header = append(out.Header, rule.Field{Name: name, Value: x.redact(v)})
		}
	}
	slices.SortStableFunc(out.Header, func(a, b rule.Field) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// redact replaces the secrets of the block in a text.
func (x *exchange) redact(text string) string {
	if x.secrets != nil {
		text = x.secrets.marks.Text(text)
	}
	if x.pool != nil && x.block.OAuth != nil {
		text = x.pool.token.redact(text)
	}
	return text
}

// record records the next request.
func (x *exchange) record(e Event) error {
	x.current = e
	return x.recordEvent(withoutQuery(e))
}

func withoutQuery(e Event) Event {
	e.Target.Query = ""
	return e
}

// follow sends the request, and follows redirects that the block permits.
func (x *exchange) follow(ctx context.Context, t rule.Target) (*http.Response, error) {
	b := x.block
	origin := t.Origin()
	method, body := x.request.Method, x.request.Body
	for hop := 0; ; hop++ {
		trusted := t.Origin() == origin
		resp, err := x.send(ctx, method, &t, body, trusted)
		if err != nil {
			return nil, err
		}
		x.state = Answered
		location := resp.Header.Get("Location")
		if b.Redirects == 0 || location == "" || !isRedirect(resp.StatusCode) {
			return resp, nil
		}
		resp.Body.Close()
		if hop >= b.Redirects {
			return nil, denied("egress %q follows at most %d redirects", b.Name, b.Redirects)
		}
		keeps := resp.StatusCode == http.StatusTemporaryRedirect || resp.StatusCode == http.StatusPermanentRedirect
		if !keeps && method != http.MethodHead && (resp.StatusCode == http.StatusSeeOther ||
			method == http.MethodPost) {
			method, body = http.MethodGet, nil
		}
		next, err := x.redirect(&t, method, location)
		if err != nil {
			return nil, err
		}
		if next.Origin() != origin && (b.Cert != nil || len(body) > 0) {
			return nil, denied("egress %q: the redirect to %s would send a client certificate or the body to "+
				"another host", b.Name, next.Authority())
		}
		t = next
	}
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect,
		http.StatusPermanentRedirect:
		return true
	}
	return false
}

// redirect returns the target of a redirect, which must satisfy all rules of the block.
func (x *exchange) redirect(from *rule.Target, method, location string) (rule.Target, error) {
	base, err := from.URL()
	if err != nil {
		return rule.Target{}, err
	}
	to, err := base.Parse(location)
	if err != nil {
		return rule.Target{}, denied("egress %q: the redirect has no valid URL", x.block.Name)
	}
	to.Fragment, to.RawFragment = "", ""
	t, err := x.block.Check(method, to.String())
	x.current = Event{Method: method, Target: t}
	if err == nil && from.Scheme == "https" && t.Scheme == "http" {
		err = errors.New("it leads from https:// to http://")
	}
	if err != nil {
		return t, denied("egress %q: redirect to %s: %w", x.block.Name, clip(location), err)
	}
	return t, nil
}

// crossOrigin are the headers of a script that follow a redirect to another origin.
var crossOrigin = []string{"Accept", "Accept-Language", "User-Agent"}

// send sends one request. Only a trusted target gets the block's credentials and all headers of the script.
func (x *exchange) send(ctx context.Context, method string, t *rule.Target, body []byte, trusted bool,
) (*http.Response, error) {
	u, err := t.URL()
	if err != nil {
		return nil, denied("egress %q: %w", x.block.Name, err)
	}
	req := x.build(method, u, t, body, trusted)
	if trusted {
		if err := x.inject(ctx, req, t, body); err != nil {
			return nil, err
		}
	}
	if err := x.record(Event{Method: method, Target: *t}); err != nil {
		return nil, err
	}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { x.wrote.Store(true) }})
	resp, err := x.pool.transport.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		resp.Body.Close()
		return nil, errors.New("the server switched to another protocol")
	}
	if resp.StatusCode == http.StatusUnauthorized && x.block.OAuth != nil && trusted {
		x.pool.token.drop()
	}
	return resp, nil
}

// build returns a request without credentials.
func (x *exchange) build(method string, u *url.URL, t *rule.Target, body []byte, trusted bool) *http.Request {
	req := &http.Request{
		Method:     method,
		URL:        u,
		Host:       t.Authority(),
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Header:     make(http.Header, len(x.header)+4),
	}
	for _, f := range x.header {
		if trusted || slices.Contains(crossOrigin, f.Name) {
			req.Header.Add(f.Name, f.Value)
		}
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", userAgent)
	}
	if req.Header.Get("Range") == "" {
		req.Header.Set("Accept-Encoding", "gzip")
	}
	if len(body) > 0 {
		req.ContentLength = int64(len(body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		req.Body = io.NopCloser(bytes.NewReader(body))
	} else if method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch {
		req.Body = http.NoBody // sends "Content-Length: 0"
	}
	return req
}

// explain returns the error for the script, and records a refusal.
func (x *exchange) explain(ctx context.Context, err error) error {
	if x.state == NotSent && x.wrote.Load() {
		x.state = Sent
	}
	refused, isRefused := errors.AsType[*refusedError](err)
	deny, isDenied := errors.AsType[*deniedError](err)
	switch {
	case isRefused:
		err = failure(ClassDenied, x.state, "egress %q: %s", x.block.Name, x.text(refused))
	case isDenied:
		err = failure(ClassDenied, x.state, "%s", x.text(deny))
	case x.deadline != nil:
		return failure(ClassTimeout, x.state, "egress %q: %v", x.block.Name, x.deadline)
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errTooLarge):
		return failure(ClassTooLarge, x.state, "egress %q: the response has more than %d bytes", x.block.Name,
			x.block.Limits.WithDefaults().ResponseBytes)
	default:
		if _, ok := errors.AsType[*object.Error](err); ok {
			return err
		}
		return failure(ClassFailed, x.state, "egress %q: %s", x.block.Name, x.text(err))
	}
	e := x.current
	e.Denied = err
	_ = x.recordEvent(withoutQuery(e)) // a refusal without a record remains a refusal
	return err
}

// text returns the text of an error. Errors of net/http can have bytes of the server.
func (x *exchange) text(err error) string { return clip(x.redact(err.Error())) }

// maxText bounds the text of an error.
const maxText = 300

func clip(s string) string {
	if len(s) > maxText {
		s = s[:maxText] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
