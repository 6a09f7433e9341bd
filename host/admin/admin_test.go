package admin

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"

	"github.com/hearthhost/hearth/host/fault"
	"github.com/hearthhost/hearth/host/history"
	"github.com/hearthhost/hearth/host/observe"
	"github.com/hearthhost/hearth/host/stores"
	"github.com/hearthhost/hearth/host/usage"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// fakeHost is a host whose requests that change it return err.
type fakeHost struct {
	err    error
	stores *stores.Stores
}

func (f *fakeHost) Status() *observe.Status                   { return &observe.Status{Version: "1"} }
func (f *fakeHost) Metrics() []byte                           { return []byte("up 1\n") }
func (f *fakeHost) Stores() *stores.Stores                    { return f.stores }
func (f *fakeHost) Usage(object.Tenant) (*usage.Usage, error) { return nil, f.err }
func (f *fakeHost) Reload(context.Context) error              { return f.err }
func (f *fakeHost) Refusals() []fault.Refusal                 { return []fault.Refusal{{Path: "a.lua"}} }
func (f *fakeHost) Warnings() []fault.Refusal                 { return nil }
func (f *fakeHost) Rollback(context.Context, object.ID, string) (string, error) {
	return "v", f.err
}
func (f *fakeHost) History(context.Context, object.ID) ([]history.VersionInfo, error) {
	return nil, f.err
}

// serve serves the admin socket of a host in a new folder, and returns a client of it.
func serve(t *testing.T, h Host) (*Server, *http.Client) {
	t.Helper()
	p := &policy.Policy{Definition: policy.Definition{State: t.TempDir()}}
	s := New(Config{Host: h, Policy: p, Log: slog.New(slog.DiscardHandler)})
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Serve()
	t.Cleanup(s.Close)
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", Socket(p))
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return s, &http.Client{Transport: transport}
}

// request sends a request and returns the status and the body.
func request(t *testing.T, c *http.Client, method, path string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://hearth"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// TestErrorStatus maps the codes of errors to HTTP. The body has the text for callers, without internal causes.
func TestErrorStatus(t *testing.T) {
	host := new(fakeHost)
	_, c := serve(t, host)
	for _, tc := range []struct {
		err  error
		want int
	}{
		{nil, http.StatusOK},
		{object.Errorf(object.CodeNotFound, "no such object"), http.StatusNotFound},
		{object.Errorf(object.CodeInvalid, "no such version"), http.StatusBadRequest},
		{object.Errorf(object.CodeUnavailable, "stopping"), http.StatusServiceUnavailable},
		{object.Errorf(object.CodeInternal, "a bug"), http.StatusInternalServerError},
	} {
		host.err = tc.err
		for path, method := range map[string]string{
			"/v1/usage":    http.MethodGet,
			"/v1/history":  http.MethodGet,
			"/v1/reload":   http.MethodPost,
			"/v1/rollback": http.MethodPost,
		} {
			status, body := request(t, c, method, path)
			if status != tc.want {
				t.Errorf("%s after %v: status %d, want %d", path, tc.err, status, tc.want)
			}
			var failed struct{ Error string }
			if tc.err == nil {
				continue
			}
			if err := json.Unmarshal([]byte(body), &failed); err != nil || failed.Error != object.SafeText(tc.err) {
				t.Errorf("%s after %v: body %s", path, tc.err, body)
			}
		}
	}
	for path, want := range map[string]int{"/v1/reload": http.StatusMethodNotAllowed, "/": http.StatusNotFound} {
		if status, _ := request(t, c, http.MethodGet, path); status != want {
			t.Errorf("GET %s: status %d, want %d", path, status, want)
		}
	}
}

// TestOpenAfter opens the admin socket of a host that another host holds: it opens when the other host closes it.
func TestOpenAfter(t *testing.T) {
	old, c := serve(t, new(fakeHost))
	next := New(Config{Host: new(fakeHost), Policy: old.cfg.Policy, Log: old.cfg.Log})
	opened := make(chan bool, 1)
	go func() { opened <- next.OpenAfter(t.Context()) }()
	if status, body := request(t, c, http.MethodGet, "/metrics"); status != http.StatusOK || body != "up 1\n" {
		t.Errorf("the old host: %d %q", status, body)
	}
	old.Close()
	if !<-opened {
		t.Fatal("OpenAfter() = false")
	}
	next.Serve()
	defer next.Close()
	if status, _ := request(t, c, http.MethodGet, "/v1/status"); status != http.StatusOK {
		t.Errorf("the new host: %d", status)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	third := New(Config{Host: new(fakeHost), Policy: old.cfg.Policy, Log: old.cfg.Log})
	if third.OpenAfter(ended) {
		t.Error("OpenAfter() opened a socket in use")
	}
}
