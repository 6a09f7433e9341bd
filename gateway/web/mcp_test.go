package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/hearthhost/hearth/gateway/mcp/bridge"
)

// tools returns the tools that a session lists.
func tools(t *testing.T, s *mcp.ClientSession) (names []string) {
	t.Helper()
	list, err := s.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range list.Tools {
		names = append(names, tool.Name)
	}
	return names
}

// call returns the text of a tool's result; an error begins with "!", one of the protocol with "!!".
func call(t *testing.T, s *mcp.ClientSession, tool string, args map[string]any) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := s.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		_, text, _ := strings.Cut(err.Error(), "unknown tool")
		return "!!unknown tool" + text
	}
	text := r.Content[0].(*mcp.TextContent).Text
	if r.IsError {
		return "!" + text
	}
	return text
}

// TestMCP serves a real client of the Model Context Protocol.
func TestMCP(t *testing.T) {
	f := serve(t, "mcp = true", rules+`
forbid "agents reset nothing" {
  principals = ["owner"]
  objects    = ["acme.counter"]
  methods    = ["reset", "total="]
  when       = caller.gateway == "mcp"
}
`)
	client := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, nil)
	s, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: f.url + "/mcp"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // the test has ended
	names := tools(t, s)
	for _, want := range []string{"acme.cart.key", "acme.counter.add", "acme.counter.total.get", "acme.echo.echo"} {
		if !slices.Contains(names, want) {
			t.Errorf("no tool %s in %q", want, names)
		}
	}
	for _, hidden := range []string{"other.hidden.hi", "acme.counter.reset", "acme.counter.total.set",
		"Pyro.Daemon.ping"} {
		if slices.Contains(names, hidden) {
			t.Errorf("%s is listed", hidden)
		}
	}
	for _, tt := range []struct {
		tool string
		args map[string]any
		want string
	}{
		{"acme.counter.add", map[string]any{"k": 5}, "5"},
		{"acme.counter.total.get", nil, "5"},
		{"acme.counter.add", map[string]any{"n": 5}, "!add: no parameter n; the parameters are k; not executed"},
		{"acme.counter.reset", nil, `!!unknown tool "acme.counter.reset"`},
		{"acme.counter.total.set", map[string]any{"value": 1}, `!!unknown tool`},
		{"other.hidden.hi", nil, `!!unknown tool "other.hidden.hi"`},
		{"other.missing.hi", nil, `!!unknown tool "other.missing.hi"`},
		{"Pyro.Daemon.ping", nil, `!!unknown tool "Pyro.Daemon.ping"`},
		{"acme.cart.key", map[string]any{"object_key": "ann"}, "ann"},
		{"acme.echo.echo", map[string]any{"arguments": []any{"hello"}}, "hello"},
		{"acme.echo.fail", map[string]any{"class": "KeyError"}, "!KeyError: gone"},
		{"acme.echo.count", map[string]any{"n": 3}, "[1,2,3]"},
		{"acme.echo.broken", map[string]any{"n": 2}, "!ValueError: no more"},
		{"acme.echo.endless", nil, "[1,2,3,"},
	} {
		if got := call(t, s, tt.tool, tt.args); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s(%v) = %s, want %s", tt.tool, tt.args, got, tt.want)
		}
	}
}

// TestMCPFollowsThePolicy checks that a permit that is withdrawn ends the use of a tool in an open session.
func TestMCPFollowsThePolicy(t *testing.T) {
	f := serve(t, "mcp = true", rules)
	client := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, nil)
	s, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: f.url + "/mcp"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // the test has ended
	if got := call(t, s, "acme.counter.add", map[string]any{"k": 1}); got != "1" {
		t.Fatalf("add = %s", got)
	}
	file := f.dir + "/policy.hcl"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), `["acme.*"]`, `["acme.echo"]`, 1)
	if err := os.WriteFile(file+".new", []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
	if err := f.host.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := call(t, s, "acme.counter.add", map[string]any{"k": 1}); !strings.Contains(got, "unknown tool") {
		t.Errorf("add after the permit was withdrawn = %s", got)
	}
	if names := tools(t, s); slices.Contains(names, "acme.counter.add") {
		t.Errorf("tools after the permit was withdrawn: %q", names)
	}
}

// TestMCPIsProtected checks that the checks of the listener cover requests of the protocol.
func TestMCPIsProtected(t *testing.T) {
	f := serve(t, "mcp = true", rules)
	list := `{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}`
	const accept = "application/json, text/event-stream"
	for _, tt := range []struct {
		name, method, body string
		headers            []string
		status             int
	}{
		{"valid", "POST", list, []string{"Accept", accept}, http.StatusOK},
		{"rebound name", "POST", list, []string{"Accept", accept, "Host", "evil.example.org"},
			http.StatusMisdirectedRequest},
		{"page of another origin", "POST", list, []string{"Accept", accept, "Origin", "https://evil.example.org"},
			http.StatusForbidden},
		{"GET", "GET", "", []string{"Accept", accept}, http.StatusMethodNotAllowed},
		{"compressed", "POST", list, []string{"Accept", accept, "Content-Encoding", "gzip"},
			http.StatusUnsupportedMediaType},
		{"not JSON", "POST", list, []string{"Accept", accept, "Content-Type", "text/plain"},
			http.StatusUnsupportedMediaType},
		{"too large", "POST", `"` + strings.Repeat("x", 2<<20) + `"`, []string{"Accept", accept},
			http.StatusRequestEntityTooLarge},
		{"unknown token", "POST", list, []string{"Accept", accept, "Authorization", "Bearer hk_x"},
			http.StatusUnauthorized},
	} {
		headers := tt.headers
		if slices.Contains(headers, "Content-Type") {
			headers = append([]string{"Content-Type", ""}, headers...)
		}
		if got := f.do(t, tt.method, "/mcp", tt.body, headers...); got.status != tt.status {
			t.Errorf("%s: %d %s, want %d", tt.name, got.status, got.body, tt.status)
		}
	}
	off := serve(t, "", rules)
	if got := off.do(t, "POST", "/mcp", list, "Accept", accept); got.status != http.StatusNotFound {
		t.Errorf("a listener without mcp = true: %d", got.status)
	}
}

// TestMCPBridge calls a tool through the bridge for clients that start a program.
func TestMCPBridge(t *testing.T) {
	f := serve(t, "mcp = true", rules)
	b := &bridge.Bridge{Client: http.DefaultClient, URL: f.url + "/mcp"}
	var out strings.Builder
	in := strings.NewReader(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"acme.counter.add",` +
		`"arguments":{"k":2}}}` + "\n")
	if err := b.Run(t.Context(), in, &out); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.Contains(got, `"id":7`) ||
		!strings.Contains(got, `"structuredContent":{"object":"acme.counter","result":2}`) {
		t.Errorf("answer %s", got)
	}
}

// TestMCPBatch runs a batch of more calls than run at a time.
func TestMCPBatch(t *testing.T) {
	f := serve(t, "mcp = true", rules)
	var calls []string
	for i := range 50 {
		calls = append(calls, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":`+
			`{"name":"acme.counter.add","arguments":{"k":1}}}`, i+1))
	}
	a := f.do(t, "POST", "/mcp", "["+strings.Join(calls, ",")+"]", "Accept", "application/json, text/event-stream",
		"Mcp-Protocol-Version", "2025-03-26")
	var answers []struct {
		ID     int
		Result struct{ IsError bool }
	}
	if err := json.Unmarshal([]byte(a.body), &answers); err != nil || len(answers) != len(calls) {
		t.Fatalf("%d answers in %d %s: %v", len(answers), a.status, a.body, err)
	}
	for _, answer := range answers {
		if answer.Result.IsError {
			t.Errorf("call %d failed", answer.ID)
		}
	}
	if got := f.do(t, "GET", "/v1/objects/acme.counter/total", "").body; got != "50" {
		t.Errorf("total = %s", got)
	}
}

// TestMCPRecordsOfTools checks that tools of attributes and of keyed objects leave no denial in the audit log, and that
// a tool which the caller does not have leaves one.
func TestMCPRecordsOfTools(t *testing.T) {
	f := serve(t, "mcp = true", rules)
	client := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, nil)
	s, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: f.url + "/mcp"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // the test has ended
	denials := func() int {
		t.Helper()
		log, err := os.ReadFile(f.dir + "/state/audit.jsonl")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(log), `"denied: `)
	}
	tools(t, s)
	call(t, s, "acme.counter.total.get", nil)
	call(t, s, "acme.cart.key", map[string]any{"object_key": "ann"})
	if n := denials(); n != 0 {
		t.Errorf("%d denials after calls that are permitted", n)
	}
	call(t, s, "other.hidden.hi", nil)
	if n := denials(); n != 1 {
		t.Errorf("%d denials after a call of a hidden tool", n)
	}
}
