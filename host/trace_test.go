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

// collected is what a collector takes apart of a request.
type collected struct {
	ResourceSpans []struct {
		ScopeSpans []struct {
			Spans []collectedSpan `json:"spans"`
		} `json:"scopeSpans"`
	} `json:"resourceSpans"`
}

type collectedSpan struct {
	TraceID      string `json:"traceId"`
	SpanID       string `json:"spanId"`
	ParentSpanID string `json:"parentSpanId"`
	Name         string `json:"name"`
	Status       struct {
		Message string `json:"message"`
	} `json:"status"`
}

// collector keeps the spans that it is sent, by name.
func collector(t *testing.T) (url string, spans func() map[string]collectedSpan) {
	t.Helper()
	var mu sync.Mutex
	got := map[string]collectedSpan{}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var c collected
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
	return s.URL, func() map[string]collectedSpan {
		mu.Lock()
		defer mu.Unlock()
		return got
	}
}

// TestTraces follows calls to their spans, which are all there when the host has ended.
func TestTraces(t *testing.T) {
	url, spans := collector(t)
	none, nothing := collector(t)
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
	t.Run("serve one in very many", func(t *testing.T) {
		h, _ := startHost(t, fmt.Sprintf("trace {\n endpoint = %q\n traces = \"1/4294967295\"\n}\n%s", none, everything))
		c := dial(t, h.Addrs()[0], client.Config{})
		if _, err := c.Object("acme.counter").Call(t.Context(), "add", 1); err != nil {
			t.Fatal(err)
		}
	})
	got := spans()
	relay, counter := got["acme.relay.add"], got["acme.counter.add"]
	if relay.TraceID == "" || relay.TraceID != counter.TraceID || relay.ParentSpanID != "" || counter.ParentSpanID != relay.SpanID {
		t.Errorf("a call and the one that it makes: %+v, %+v", relay, counter)
	}
	if fail := got["acme.echo.fail"]; fail.Status.Message != "raised" || relay.Status.Message != "" {
		t.Errorf("a call that failed: %+v", fail)
	}
	if _, ok := got["get acme.counter.total"]; !ok || len(got) != 4 {
		t.Errorf("spans: %v, want 4", got)
	}
	if n := len(nothing()); n != 0 {
		t.Errorf("%d spans of traces that are not to be sent", n)
	}
}
