package bridge

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// TestClient connects a real client through the bridge to a real server.
func TestClient(t *testing.T) {
	server := mcp.NewServer(&mcp.Implementation{Name: "server", Version: "1"}, nil)
	type args struct {
		Name string `json:"name"`
	}
	mcp.AddTool(server, &mcp.Tool{Name: "greet"}, func(_ context.Context, _ *mcp.CallToolRequest, in args) (
		*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "hello " + in.Name}}}, nil, nil
	})
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})
	tokens := make(chan string, 100)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tokens <- r.Header.Get("Authorization")
		handler.ServeHTTP(w, r)
	}))
	defer web.Close()

	toBridge, in := io.Pipe()
	out, fromBridge := io.Pipe()
	b := &Bridge{Client: web.Client(), URL: web.URL, Token: "hk_x"}
	done := make(chan error, 1)
	go func() {
		done <- b.Run(t.Context(), toBridge, fromBridge)
		_ = fromBridge.Close()
	}()
	client := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.IOTransport{Reader: out, Writer: in}, nil)
	if err != nil {
		t.Fatal(err)
	}
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "greet",
		Arguments: map[string]any{"name": "Ann"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := result.Content[0].(*mcp.TextContent).Text; got != "hello Ann" {
		t.Errorf("greet = %q", got)
	}
	if err := session.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Errorf("Run() = %v", err)
	}
	close(tokens)
	for token := range tokens {
		if token != "Bearer hk_x" {
			t.Errorf("a request with Authorization %q", token)
		}
	}
}

func TestErrors(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case bytes.Contains(body, []byte(`"a"`)):
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"detail": "show credentials"}`))
		case bytes.Contains(body, []byte(`"b"`)):
			_, _ = w.Write([]byte("<html>"))
		default:
			w.WriteHeader(http.StatusAccepted)
		}
	}))
	defer web.Close()
	for _, tt := range []struct{ in, want string }{
		{`{"jsonrpc": "2.0", "id": 1, "method": "a"}`,
			`{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"401 Unauthorized: show credentials"}}`},
		{`{"jsonrpc": "2.0", "id": "x", "method": "b", "params": [1]}`,
			`{"jsonrpc":"2.0","id":"x","error":{"code":-32000,"message":"200 OK"}}`},
		{`{"jsonrpc": "2.0", "method": "notifications/initialized"}`, ""},
		{`{"jsonrpc": "2.0", "method": "a"}`, ""},
		{"\n\n", ""},
		{`[1]`, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"a line must be one JSON object"}}`},
		{`{"id": `, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"a line must be one JSON object"}}`},
	} {
		var out strings.Builder
		b := &Bridge{Client: web.Client(), URL: web.URL}
		if err := b.Run(t.Context(), strings.NewReader(tt.in+"\n"), &out); err != nil {
			t.Errorf("%s: Run() = %v", tt.in, err)
		}
		if got := strings.TrimSuffix(out.String(), "\n"); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.in, got, tt.want)
		}
	}
	b := &Bridge{Client: web.Client(), URL: web.URL}
	if err := b.Run(t.Context(), strings.NewReader(strings.Repeat("x", maxMessage+1)), io.Discard); err == nil {
		t.Error("a line without end is accepted")
	}
}
