// Package trace sends spans of calls to an OpenTelemetry collector.
package trace

import (
	"crypto/rand"
	"encoding/binary"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/hearthhost/hearth/host/usage"
	"github.com/hearthhost/hearth/internal/otlp"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// Tracer makes a span for each running call, and for each call that its object makes to others. All spans of one
// correlation id belong to one trace. A nil tracer traces nothing. It is safe for concurrent use.
type Tracer struct {
	out      *otlp.Exporter
	sampling uint64 // sampling ratio: one trace of this number is sent

	mu   sync.Mutex          // guards open
	open map[spanKey][8]byte // span ids of running calls
}

// spanKey identifies a running call, so that the calls of its object find their parent span. Two calls that share all
// fields, such as calls of several callers in a batch, count as the same.
type spanKey struct {
	corr  [16]byte  // correlation id
	id    object.ID // called object
	depth int       // number of objects in the call's chain
}

// New returns a tracer that sends spans to the policy's collector, nil if the policy names no collector. The caller
// closes it.
func New(t policy.Trace, version string, log *slog.Logger) *Tracer {
	if t.Endpoint == "" {
		return nil
	}
	log.Info("traces go to a collector", "endpoint", t.Endpoint, "one_in", t.Traces)
	return &Tracer{
		sampling: max(t.Traces, 1),
		open:     map[spanKey][8]byte{},
		out:      otlp.New(otlp.Config{Endpoint: t.Endpoint, Service: "hearth", Version: version, Log: log}),
	}
}

// Close sends the queued spans within the time limit of one request, and stops the exporter. Later spans are lost.
func (t *Tracer) Close() {
	if t != nil {
		t.out.Close()
	}
}

// Counts returns the number of spans that the collector has accepted, and of dropped ones.
func (t *Tracer) Counts() (sent, dropped uint64) {
	if t == nil {
		return 0, 0
	}
	return t.out.Counts()
}

// maxSpanName bounds the name of a span, in bytes: a method's name is the caller's choice.
const maxSpanName = 128

// Begin returns the span of a call that begins, nil if its trace is not sampled.
func (t *Tracer) Begin(call *object.Call, from time.Time) *otlp.Span {
	if t == nil || t.sampling > 1 && binary.LittleEndian.Uint64(call.Corr[8:])%t.sampling != 0 {
		return nil
	}
	s := &otlp.Span{Trace: call.Corr, Start: from, Name: spanName(call)}
	_, _ = rand.Read(s.ID[:]) // never fails
	s.Attributes = append(make([]otlp.Attribute, 0, 8),
		otlp.Text("hearth.tenant", string(call.ID.Tenant())),
		otlp.Text("hearth.object", string(call.ID)),
		otlp.Text("hearth.principal", string(call.Caller.Principal)),
		otlp.Number("hearth.argument_bytes", int64(len(call.Payload))))
	depth := len(call.Chain)
	t.mu.Lock()
	defer t.mu.Unlock()
	if depth > 0 {
		s.Parent = t.open[spanKey{call.Corr, call.Chain[depth-1], depth - 1}]
	}
	t.open[spanKey{call.Corr, call.ID, depth}] = s.ID
	return s
}

// End sends the span of a call that has ended. s may be nil.
func (t *Tracer) End(s *otlp.Span, call *object.Call, r *object.Reply, err error) {
	if s == nil {
		return
	}
	key := spanKey{call.Corr, call.ID, len(call.Chain)}
	t.mu.Lock()
	if t.open[key] == s.ID {
		delete(t.open, key)
	}
	t.mu.Unlock()
	s.End = time.Now()
	if code, failed := usage.Failure(r, err); failed {
		s.Failure = code.String()
	}
	s.Attributes = append(s.Attributes,
		otlp.Number("hearth.result_bytes", int64(len(r.Payload))),
		otlp.Number("hearth.steps", int64(r.Steps)))
	t.out.Send(*s)
}

// spanName returns a readable name of a call, at most maxSpanName bytes and an ellipsis, in valid UTF-8.
func spanName(call *object.Call) string {
	name := string(call.ID) + "." + string(call.Method)
	switch call.Kind {
	case object.Get:
		name = "get " + name
	case object.Set:
		name = "set " + name
	case object.Batch:
		name = "batch " + string(call.ID)
	default:
	}
	if len(name) > maxSpanName {
		name = name[:maxSpanName] + "…"
	}
	return strings.ToValidUTF8(name, "\ufffd")
}
