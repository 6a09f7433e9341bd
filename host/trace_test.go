package host_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/hearthhost/hearth/client"
)

// traceRequest is the part of an OTLP request that the tests check.
type traceRequest struct {
	ResourceSpans []struct {
		ScopeSpans []struct {
			Spans []traceSpan `json:"spans"`
		} `json:"scopeSpans"`
	} `json:"resourceSpans"`
}

type traceSpan struct {
	TraceID      string `json:"traceId"`
	SpanID       string `json:"spanId"`
	ParentSpanID string `json:"parentSpanId"`
	Name         string `json:"name"`
	Status       struct {
		Message string `json:"message"`
	} `json:"status"`
}

// collector starts a server that keeps the spans of its requests by name.
func collector(t *testing.T) (url string, spans func() map[string]traceSpan) {
	t.Helper()
	var mu sync.Mutex
	got := map[string]traceSpan{}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var c traceRequest
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, rs := range c.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				for _, span := range ss.Spans {
					got[span.Name] = span
				}
			}
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, func() map[string]traceSpan {
		mu.Lock()
		defer mu.Unlock()
		return got
	}
}

// TestTraces checks the spans of calls. All spans are sent before Serve returns.
func TestTraces(t *testing.T) {
	url, spans := collector(t)
	unsampled, unsampledSpans := collector(t)
	t.Run("serve", func(t *testing.T) {
		h, _ := startHost(t, fmt.Sprintf("trace { endpoint = %q }\n%s", url, everything))
		c := dial(t, h.Addrs()[0], client.Config{})
		if _, err := c.Object("acme.relay").Call(t.Context(), "add", 1); err != nil {
			t.Fatal(err)
		}
		_, err := c.Object("acme.echo").Call(t.Context(), "fail")
		wantRemote(t, err, "", "gone")
		_, _ = c.Object("acme.nosuch").Call(t.Context(), "hi")
		if _, err := c.Object("acme.counter").Get(t.Context(), "total"); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("serve with a low sampling rate", func(t *testing.T) {
		trace := fmt.Sprintf("trace {\n endpoint = %q\n traces = \"1/4294967295\"\n}\n", unsampled)
		h, _ := startHost(t, trace+everything)
		c := dial(t, h.Addrs()[0], client.Config{})
		if _, err := c.Object("acme.counter").Call(t.Context(), "add", 1); err != nil {
			t.Fatal(err)
		}
	})
	got := spans()
	relay, counter := got["acme.relay.add"], got["acme.counter.add"]
	if relay.TraceID == "" || relay.TraceID != counter.TraceID ||
		relay.ParentSpanID != "" || counter.ParentSpanID != relay.SpanID {
		t.Errorf("a call and its nested call: %+v, %+v", relay, counter)
	}
	if fail := got["acme.echo.fail"]; fail.Status.Message != "raised" || relay.Status.Message != "" {
		t.Errorf("a failed call: %+v", fail)
	}
	if _, ok := got["get acme.counter.total"]; !ok || len(got) != 4 {
		t.Errorf("spans: %v, want 4", got)
	}
	if n := len(unsampledSpans()); n != 0 {
		t.Errorf("%d spans of unsampled traces were sent", n)
	}
}
