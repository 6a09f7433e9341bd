// Package otlp sends spans to an OpenTelemetry collector: OTLP over HTTP, in JSON. Callers never wait: spans that the
// collector does not accept in time are dropped and counted.
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

// Span is one operation.
type Span struct {
	Trace      [16]byte
	ID, Parent [8]byte // Parent is zero for a root span
	Name       string
	Start, End time.Time
	Failure    string // error text; "" for success
	Attributes []Attribute
}

// Attribute is a key and a value of a span, see [Text] and [Number].
type Attribute struct {
	key   string
	value anyValue
}

// Text returns an attribute with a string, which may be empty.
func Text(key, text string) Attribute { return Attribute{key, anyValue{String: &text}} }

// Number returns an attribute with an integer.
func Number(key string, n int64) Attribute {
	return Attribute{key, anyValue{Int: strconv.FormatInt(n, 10)}}
}

// Config configures an [Exporter]. Endpoint is required.
type Config struct {
	Endpoint string // "http://127.0.0.1:4318"; /v1/traces is added
	Service  string // value of service.name
	Version  string
	Log      *slog.Logger // nil discards
}

// Limits of an exporter.
const (
	maxQueued  = 2048 // waiting spans
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
	failing       bool // the last request failed; used by run only
}

// New starts an exporter. Its goroutine ends with Close.
func New(cfg Config) *Exporter {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	e := &Exporter{
		cfg:   cfg,
		http:  &http.Transport{MaxIdleConns: 1, IdleConnTimeout: time.Minute},
		queue: make(chan Span, maxQueued),
		stop:  make(chan struct{}),
		done:  make(chan struct{}),
	}
	go e.run()
	return e
}

// Send queues a span. It never waits: with a full queue the span is dropped.
func (e *Exporter) Send(s Span) {
	select {
	case e.queue <- s:
	default:
		e.dropped.Add(1)
	}
}

// Counts returns the number of spans that the collector has accepted, and of dropped ones.
func (e *Exporter) Counts() (sent, dropped uint64) { return e.sent.Load(), e.dropped.Load() }

// Close sends the queued spans within the time limit of one request, and stops the exporter. Later spans are lost.
// Further calls wait for the first one.
func (e *Exporter) Close() {
	e.once.Do(func() { close(e.stop) })
	<-e.done
}

// run sends a batch when it is full, and every second, until Close.
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

// flush sends a batch, and counts its spans as sent or dropped.
func (e *Exporter) flush(ctx context.Context, batch []Span) {
	err := e.post(ctx, batch)
	if err != nil {
		e.dropped.Add(uint64(len(batch)))
		if !e.failing { // log the first failure only
			e.cfg.Log.Warn("spans are dropped: the collector does not accept them",
				"endpoint", e.cfg.Endpoint, "err", err)
		}
		e.failing = true
		return
	}
	e.sent.Add(uint64(len(batch)))
	if e.failing {
		_, dropped := e.Counts()
		e.cfg.Log.Info("the collector accepts spans again", "endpoint", e.cfg.Endpoint, "dropped_so_far", dropped)
	}
	e.failing = false
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
	resp, err := e.http.RoundTrip(req) // RoundTrip follows no redirect to another server
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer) // a read body lets the connection be reused
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the collector answers %s", resp.Status)
	}
	return nil
}

// The messages of the protocol, with the used fields. 64-bit numbers are strings. IDs are hexadecimal, an exception of
// OTLP from the proto3 JSON mapping.
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
		spans[i] = span{
			TraceID:    hex.EncodeToString(s.Trace[:]),
			SpanID:     hex.EncodeToString(s.ID[:]),
			Name:       s.Name,
			Kind:       kindServer,
			Start:      strconv.FormatInt(s.Start.UnixNano(), 10),
			End:        strconv.FormatInt(s.End.UnixNano(), 10),
			Attributes: attributes(s.Attributes),
		}
		if s.Parent != [8]byte{} {
			spans[i].ParentSpanID = hex.EncodeToString(s.Parent[:])
		}
		if s.Failure != "" {
			spans[i].Status = status{statusError, s.Failure}
		}
	}
	service := attributes([]Attribute{Text("service.name", e.cfg.Service), Text("service.version", e.cfg.Version)})
	return request{[]resourceSpans{{resource{service}, []scopeSpans{{scope{e.cfg.Service}, spans}}}}}
}

func attributes(list []Attribute) []keyValue {
	var out []keyValue
	for _, a := range list {
		out = append(out, keyValue{a.key, a.value})
	}
	return out
}
