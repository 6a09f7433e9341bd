package admin

import (
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// serveSocket serves a handler on an admin socket until the test ends.
func serveSocket(t *testing.T, h http.HandlerFunc) *Socket {
	t.Helper()
	path := filepath.Join(t.TempDir(), "admin.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return &Socket{Path: path}
}

// TestRequest: a request returns the decoded response, or the host's error, or an error with a remedy.
func TestRequest(t *testing.T) {
	t.Parallel()
	s := serveSocket(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/good":
			_, _ = w.Write([]byte(`{"version": "` + r.Method + r.URL.Query().Get("to") + `"}`))
		case "/v1/refused":
			http.Error(w, `{"error": "acme.x has no earlier version"}`, http.StatusConflict)
		case "/v1/text":
			_, _ = w.Write([]byte("text"))
		default:
			http.NotFound(w, r)
		}
	})
	var got struct{ Version string }
	if err := s.request(t.Context(), http.MethodPost, "/v1/good?to=1f", &got); err != nil || got.Version != "POST1f" {
		t.Errorf("request() = %+v, %v", got, err)
	}
	for path, want := range map[string]string{
		"/v1/refused": "acme.x has no earlier version",
		"/v1/text":    "sent an invalid response",
		"/v1/unknown": "answered 404 Not Found: does it have another version than this command?",
	} {
		err := s.request(t.Context(), http.MethodGet, path, &got)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", path, err, want)
		}
	}
	none := Socket{Path: filepath.Join(t.TempDir(), "none.sock")}
	err := none.request(t.Context(), http.MethodGet, "/v1/good", &got)
	if err == nil || !strings.Contains(err.Error(), "start one with hearth serve") {
		t.Errorf("without a host: %v", err)
	}
}
