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

// tracer makes a span of each call that is run, and of each that an object makes on its
// behalf. Traces are told apart by correlation id, which all of these share. A nil tracer
// traces nothing. Safe for concurrent use.
type Tracer struct {
	out      *otlp.Exporter
	sampling uint64 // one trace in this many is sent

	mu   sync.Mutex // guards open
	open map[spanKey][8]byte
}

// spanKey tells calls under way apart, for those that they make to find them: by
// correlation id, the object that is called, and over how many others. Two calls that
// share all three, from a batch of callers say, count as the same.
type spanKey struct {
	corr  [16]byte
	id    object.ID
	depth int
}

// newTracer returns a tracer that sends spans to the policy's collector, nil if the policy names none.
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

func (t *Tracer) Close() {
	if t != nil {
		t.out.Close()
	}
}

func (t *Tracer) Counts() (sent, dropped uint64) {
	if t == nil {
		return 0, 0
	}
	return t.out.Counts()
}

// maxSpanName bounds the name of a span, in bytes: a method's name is the caller's choice.
const maxSpanName = 128

// begin makes the span of a call, nil if its trace is not sent.
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

// end sends the span of a call that has ended; s may be nil.
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

// spanName is what a call is, for people.
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
