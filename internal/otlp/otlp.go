// Package otlp sends spans to an OpenTelemetry collector: OTLP over HTTP, in JSON. It never
// keeps a caller waiting: what the collector does not take in time is left out and counted.
// It knows nothing of what the spans are about.
//
// Source: opentelemetry.io/docs/specs/otlp and the proto3 JSON mapping of
// opentelemetry/proto/trace/v1/trace.proto.
package otlp

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Span is one piece of work.
type Span struct {
	Trace      [16]byte
	ID, Parent [8]byte // Parent may be zero: there is none
	Name       string
	Start, End time.Time
	Failure    string // "": it went well
	Attributes []Attribute
}

// Attribute is a fact about a span. [Text] and [Number] make one.
type Attribute struct {
	key   string
	value anyValue
}

// Text returns an attribute with a text, which may be empty.
func Text(key, text string) Attribute { return Attribute{key, anyValue{String: &text}} }

// Number returns an attribute with a number.
func Number(key string, n int64) Attribute {
	return Attribute{key, anyValue{Int: strconv.FormatInt(n, 10)}}
}

// Config says where spans go. Endpoint is required.
type Config struct {
	Endpoint string // "http://127.0.0.1:4318"; /v1/traces is added
	Service  string // what calls itself so
	Version  string
	Log      *slog.Logger // nil discards
}

// Bounds on an exporter.
const (
	maxQueued  = 2048 // spans that wait
	maxBatch   = 512  // spans in one request
	batchEvery = time.Second
	timeout    = 5 * time.Second // of one request
	maxAnswer  = 64 << 10
)

// Exporter sends spans. Send may be called concurrently.
type Exporter struct {
	cfg   Config
	http  *http.Transport
	queue chan Span
	stop  chan struct{} // closed by Close
	once  sync.Once
	done  chan struct{} // closed when run has ended

	sent, dropped atomic.Uint64
	ill           bool // the last request failed; run's own
}

// New starts an exporter, which has one goroutine until it is closed.
func New(cfg Config) *Exporter {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	e := &Exporter{cfg: cfg, http: &http.Transport{MaxIdleConns: 1, IdleConnTimeout: time.Minute},
		queue: make(chan Span, maxQueued), stop: make(chan struct{}), done: make(chan struct{})}
	go e.run()
	return e
}

// Send hands a span over. It never waits: if too many do already, the span is dropped.
func (e *Exporter) Send(s Span) {
	select {
	case e.queue <- s:
	default:
		e.dropped.Add(1)
	}
}

// Counts returns how many spans a collector has taken, and how many were left out.
func (e *Exporter) Counts() (sent, dropped uint64) { return e.sent.Load(), e.dropped.Load() }

// Close sends what waits, within the time of one request, and ends the exporter. Spans
// that come later are lost. It is idempotent.
func (e *Exporter) Close() {
	e.once.Do(func() { close(e.stop) })
	<-e.done
}

// run sends batches until Close: when one is full, and else every second.
func (e *Exporter) run() {
	defer close(e.done)
	defer e.http.CloseIdleConnections()
	tick := time.NewTicker(batchEvery)
	defer tick.Stop()
	batch := make([]Span, 0, maxBatch)
	for {
		select {
		case s := <-e.queue:
			if batch = append(batch, s); len(batch) < maxBatch {
				continue
			}
		case <-tick.C:
		case <-e.stop:
			ctx, cancel := context.WithTimeout(context.Background(), timeout)
			defer cancel()
			for {
				for len(batch) < maxBatch && len(e.queue) > 0 {
					batch = append(batch, <-e.queue)
				}
				if len(batch) == 0 {
					return
				}
				e.flush(ctx, batch)
				batch = batch[:0]
			}
		}
		if len(batch) > 0 {
			ctx, cancel := context.WithTimeout(context.Background(), timeout)
			e.flush(ctx, batch)
			cancel()
			batch = batch[:0]
		}
	}
}

// flush sends a batch, and counts it as one thing or the other.
func (e *Exporter) flush(ctx context.Context, batch []Span) {
	err := e.post(ctx, batch)
	if err != nil {
		e.dropped.Add(uint64(len(batch)))
		if !e.ill {
			e.cfg.Log.Warn("spans are dropped: the collector does not take them", "endpoint", e.cfg.Endpoint, "err", err)
		}
		e.ill = true
		return
	}
	e.sent.Add(uint64(len(batch)))
	if e.ill {
		_, dropped := e.Counts()
		e.cfg.Log.Info("the collector takes spans again", "endpoint", e.cfg.Endpoint, "dropped_so_far", dropped)
	}
	e.ill = false
}

func (e *Exporter) post(ctx context.Context, batch []Span) error {
	body, err := json.Marshal(e.encode(batch))
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.cfg.Endpoint+"/v1/traces", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := e.http.RoundTrip(req) // which follows no redirection to somebody else
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer) // so that the connection can be used again
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("it answers %s", resp.Status)
	}
	return nil
}

// The messages of the protocol, as far as they are used. Numbers of 64 bits are texts, and
// ids are hexadecimal, which is OTLP's own rule.
type (
	request struct {
		ResourceSpans []resourceSpans `json:"resourceSpans"`
	}
	resourceSpans struct {
		Resource   resource     `json:"resource"`
		ScopeSpans []scopeSpans `json:"scopeSpans"`
	}
	resource struct {
		Attributes []keyValue `json:"attributes"`
	}
	scopeSpans struct {
		Scope scope  `json:"scope"`
		Spans []span `json:"spans"`
	}
	scope struct {
		Name string `json:"name"`
	}
	span struct {
		TraceID      string     `json:"traceId"`
		SpanID       string     `json:"spanId"`
		ParentSpanID string     `json:"parentSpanId,omitempty"`
		Name         string     `json:"name"`
		Kind         int        `json:"kind"`
		Start        string     `json:"startTimeUnixNano"`
		End          string     `json:"endTimeUnixNano"`
		Attributes   []keyValue `json:"attributes,omitempty"`
		Status       status     `json:"status"`
	}
	status struct {
		Code    int    `json:"code,omitempty"`
		Message string `json:"message,omitempty"`
	}
	keyValue struct {
		Key   string   `json:"key"`
		Value anyValue `json:"value"`
	}
	anyValue struct {
		String *string `json:"stringValue,omitempty"`
		Int    string  `json:"intValue,omitempty"`
	}
)

const (
	kindServer  = 2 // SPAN_KIND_SERVER
	statusError = 2 // STATUS_CODE_ERROR
)

func (e *Exporter) encode(batch []Span) request {
	spans := make([]span, len(batch))
	for i := range batch {
		s := &batch[i]
		spans[i] = span{TraceID: hex.EncodeToString(s.Trace[:]), SpanID: hex.EncodeToString(s.ID[:]), Name: s.Name, Kind: kindServer,
			Start: strconv.FormatInt(s.Start.UnixNano(), 10), End: strconv.FormatInt(s.End.UnixNano(), 10), Attributes: attributes(s.Attributes)}
		if s.Parent != [8]byte{} {
			spans[i].ParentSpanID = hex.EncodeToString(s.Parent[:])
		}
		if s.Failure != "" {
			spans[i].Status = status{statusError, s.Failure}
		}
	}
	about := attributes([]Attribute{Text("service.name", e.cfg.Service), Text("service.version", e.cfg.Version)})
	return request{[]resourceSpans{{resource{about}, []scopeSpans{{scope{e.cfg.Service}, spans}}}}}
}

func attributes(list []Attribute) []keyValue {
	var out []keyValue
	for _, a := range list {
		out = append(out, keyValue{a.key, a.value})
	}
	return out
}
