package otlp_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/hearthhost/hearth/internal/otlp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// collector starts a server that sends each received body to bodies and answers with a status.
func collector(t *testing.T, status *atomic.Int64, bodies chan<- string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/traces" ||
			r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s %s: %v", r.Method, r.URL.Path, r.Header.Get("Content-Type"), err)
		}
		w.WriteHeader(int(status.Load()))
		bodies <- string(b)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestRequest compares a request with one written by hand from the specification.
func TestRequest(t *testing.T) {
	var status atomic.Int64
	status.Store(http.StatusOK)
	bodies := make(chan string, 1)
	e := otlp.New(otlp.Config{Endpoint: collector(t, &status, bodies), Service: "hearth", Version: "v1"})
	at := time.Unix(1700000000, 5)
	e.Send(otlp.Span{Trace: [16]byte{0xab, 15: 1}, ID: [8]byte{1}, Name: "acme.counter.add",
		Start: at, End: at.Add(time.Millisecond),
		Attributes: []otlp.Attribute{otlp.Text("tenant", "acme"), otlp.Text("principal", ""),
			otlp.Number("steps", 7), otlp.Number("bytes", 0)}})
	e.Send(otlp.Span{
		Trace: [16]byte{0xab, 15: 1}, ID: [8]byte{2}, Parent: [8]byte{1}, Name: "x",
		Start: at, End: at, Failure: "exhausted",
	})
	e.Close()
	e.Close()
	want := `{"resourceSpans":[{
  "resource":{"attributes":[{"key":"service.name","value":{"stringValue":"hearth"}},
    {"key":"service.version","value":{"stringValue":"v1"}}]},
  "scopeSpans":[{"scope":{"name":"hearth"},"spans":[
    {"traceId":"ab000000000000000000000000000001","spanId":"0100000000000000","name":"acme.counter.add","kind":2,
     "startTimeUnixNano":"1700000000000000005","endTimeUnixNano":"1700000000001000005",
     "attributes":[{"key":"tenant","value":{"stringValue":"acme"}},{"key":"principal","value":{"stringValue":""}},
       {"key":"steps","value":{"intValue":"7"}},{"key":"bytes","value":{"intValue":"0"}}],"status":{}},
    {"traceId":"ab000000000000000000000000000001","spanId":"0200000000000000","parentSpanId":"0100000000000000",
     "name":"x","kind":2,
     "startTimeUnixNano":"1700000000000000005","endTimeUnixNano":"1700000000000000005","status":{"code":2,"message":"exhausted"}}
  ]}]}]}`
	var got, wanted any
	if err := json.Unmarshal([]byte(<-bodies), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if sent, dropped := e.Counts(); sent != 2 || dropped != 0 {
		t.Errorf("%d sent, %d dropped; want 2, 0", sent, dropped)
	}
}

// TestFailingCollector: rejected spans are dropped and counted, and a redirect is not followed.
func TestFailingCollector(t *testing.T) {
	for _, code := range []int64{http.StatusServiceUnavailable, http.StatusTemporaryRedirect} {
		var status atomic.Int64
		status.Store(code)
		e := otlp.New(otlp.Config{Endpoint: collector(t, &status, make(chan string, 1))})
		e.Send(otlp.Span{})
		e.Close()
		if sent, dropped := e.Counts(); sent != 0 || dropped != 1 {
			t.Errorf("status %d: %d sent, %d dropped; want 0, 1", code, sent, dropped)
		}
	}
	e := otlp.New(otlp.Config{Endpoint: "http://127.0.0.1:1"}) // no server listens there
	e.Send(otlp.Span{})
	e.Close()
	if sent, dropped := e.Counts(); sent != 0 || dropped != 1 {
		t.Errorf("no collector: %d sent, %d dropped; want 0, 1", sent, dropped)
	}
}

// TestHangingCollector sends more spans than the queue holds to a collector that hangs: Send does not wait.
func TestHangingCollector(t *testing.T) {
	const spans = 10_000
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer s.Close()
	e := otlp.New(otlp.Config{Endpoint: s.URL})
	for range spans {
		e.Send(otlp.Span{})
	}
	_, dropped := e.Counts()
	if dropped < spans-2048-2*512 {
		t.Errorf("%d of %d spans were dropped: the queue has no bound", dropped, spans)
	}
	close(release)
	e.Close()
	if sent, dropped := e.Counts(); sent+dropped != spans {
		t.Errorf("%d sent and %d dropped of %d", sent, dropped, spans)
	}
}
