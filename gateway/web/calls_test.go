package web_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// auditRecord has the fields of a record of the audit log that the tests compare.
type auditRecord struct {
	Event, Decision, Principal, Auth, Channel, Object, Method, Reason, Exceeding, Call string
}

// audited returns the records of the host's audit log that a filter accepts.
func (f *fixture) audited(t *testing.T, accept func(r *auditRecord) bool) (all []auditRecord) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(f.dir, "state", "audit.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var r auditRecord
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if accept(&r) {
			all = append(all, r)
		}
	}
	return all
}

// TestAudit checks the records of requests: caller, member and correlation id.
func TestAudit(t *testing.T) {
	f := serve(t, "", rules)
	const (
		trace = "4bf92f3577b34da6a3ce929d0e0e4736"
		own   = "11112222-1111-2222-3333-222244449999"
	)
	for _, tt := range []struct {
		method, path, body string
		headers            []string
		want               auditRecord // an empty Call is any id
	}{
		{"POST", "acme.counter/add", "[1]", []string{"Traceparent", "00-" + trace + "-00f067aa0ba902b7-01"},
			auditRecord{Decision: "permit", Object: "acme.counter", Method: "add", Call: trace}},
		{"GET", "acme.counter/total", "", []string{"Hearth-Correlation-Id", own, "Traceparent",
			"00-" + trace + "-00f067aa0ba902b7-01"},
			auditRecord{Decision: "permit", Object: "acme.counter", Method: "total", Call: own}},
		{"PUT", "acme.counter/total", "1", []string{"Traceparent", "ff-" + trace + "-00f067aa0ba902b7-01"},
			auditRecord{Decision: "permit", Object: "acme.counter", Method: "total="}},
		{"POST", "acme.cart:ann/key", "", nil,
			auditRecord{Decision: "permit", Object: "acme.cart:ann", Method: "key"}},
		{"POST", "other.hidden/hi", "", nil, auditRecord{Decision: "deny", Object: "other.hidden", Method: "hi"}},
	} {
		seen := map[auditRecord]bool{}
		call := func(r *auditRecord) bool { return r.Event == "call" }
		for _, r := range f.audited(t, call) {
			seen[r] = true
		}
		f.do(t, tt.method, "/v1/objects/"+tt.path, tt.body, tt.headers...)
		var found []auditRecord
		for _, r := range f.audited(t, call) {
			if !seen[r] {
				found = append(found, r)
			}
		}
		if len(found) != 1 {
			t.Errorf("%s %s: records %+v", tt.method, tt.path, found)
			continue
		}
		got, id := found[0], strings.ReplaceAll(found[0].Call, "-", "")
		if want := strings.ReplaceAll(tt.want.Call, "-", ""); len(id) != 32 || want != "" && id != want ||
			want == "" && id == trace {
			t.Errorf("%s %s: correlation id %s, want %s", tt.method, tt.path, got.Call, tt.want.Call)
		}
		if got.Decision != tt.want.Decision || got.Object != tt.want.Object || got.Method != tt.want.Method ||
			got.Principal != "owner" || got.Auth != "peer" {
			t.Errorf("%s %s: record %+v, want %+v", tt.method, tt.path, got, tt.want)
		}
	}
	if a := f.do(t, "GET", "/v1/objects", "", "Hearth-Correlation-Id", "1"); a.status != 400 {
		t.Errorf("a malformed correlation id: %v", a)
	}
}

// TestLimits exceeds the limits of a policy by requests.
func TestLimits(t *testing.T) {
	f := serve(t, "", rules+`
limit "few adds" {
  principals = ["owner"]
  objects    = ["acme.counter"]
  rate       = "2/h"
  burst      = 2
}
limit "few connections" {
  principals  = ["owner"]
  connections = 2
}
`)
	for range 2 {
		if a := f.do(t, "POST", "/v1/objects/acme.counter/add", "[1]"); a.status != 200 {
			t.Fatalf("below the limit: %v", a)
		}
	}
	a := f.do(t, "POST", "/v1/objects/acme.counter/add", "[1]")
	if a.status != 429 || a.header.Get("Retry-After") == "" || !strings.HasPrefix(a.problem(t), "exhausted no ") {
		t.Errorf("beyond the rate: %v", a)
	}
	exceeded := f.audited(t, func(r *auditRecord) bool { return r.Decision == "deny" })
	if len(exceeded) != 1 || !strings.Contains(exceeded[0].Exceeding, "few adds") {
		t.Errorf("records %+v", exceeded)
	}
	http.DefaultClient.CloseIdleConnections()
	for f.host.Status().HTTP != 0 { // the test's time limit ends the wait
		runtime.Gosched()
	}
	var statuses []int
	for range 3 {
		c := f.dial(t)
		statuses = append(statuses, c.request(t, "GET", "/v1/objects", "").StatusCode)
	}
	if fmt.Sprint(statuses) != "[200 200 429]" {
		t.Errorf("three connections: %v", statuses)
	}
	if s := f.host.Status(); s.HTTP < 2 || s.Connections < s.HTTP {
		t.Errorf("status: %d connections, %d of HTTP", s.Connections, s.HTTP)
	}
	if text := string(f.host.Metrics()); !strings.Contains(text, "\nhearth_http_connections ") {
		t.Error("no metric of HTTP connections")
	}
}

// TestIdempotencyKey repeats requests with a key.
func TestIdempotencyKey(t *testing.T) {
	f := serve(t, "", rules)
	const counter = "acme.counter/add"
	for i, tt := range []struct {
		path, body string
		headers    []string
		status     int
		want       string
	}{
		{counter, "[1]", []string{"Idempotency-Key", `"a"`}, 200, "1"},
		{counter, "[1]", []string{"Idempotency-Key", `"a"`}, 200, "1"},
		{counter, "[1]", []string{"Idempotency-Key", `a`}, 200, "1"},
		{counter, "[2]", []string{"Idempotency-Key", `"a"`}, 400, "invalid no : the idempotency key"},
		{counter, "[1, 2]", []string{"Idempotency-Key", `"b"`}, 400, "invalid no : add: takes 1 argument"},
		{counter, "[1]", []string{"Idempotency-Key", `"b"`}, 200, "2"},
		{counter, "[1]", []string{"Idempotency-Key", `"b`}, 400, "invalid no : the header"},
		{counter, "[1]", []string{"Idempotency-Key", `""`}, 400, "invalid no : the header"},
		{counter, "[1]", []string{"Idempotency-Key", `"a\"b"`}, 400, "invalid no : the header"},
		{counter, "[1]", []string{"Idempotency-Key", `"a"`, "Idempotency-Key", `"b"`}, 400, "invalid no : the header"},
		{counter, "[1]", []string{"Idempotency-Key", strings.Repeat("a", 2000)}, 400, "invalid no : "},
		{"acme.echo/echo", "[1]", []string{"Idempotency-Key", `"c"`}, 400, "invalid no : an idempotency key requires"},
		{"acme.counter/reset", "", []string{"Idempotency-Key", `"d"`}, 400, "invalid no : a oneway call"},
		{counter, "[1]", []string{"Idempotency-Key", `"e"`, "Prefer", "respond-async"}, 400,
			"invalid no : a oneway call"},
		{counter, "[1]", nil, 200, "3"},
	} {
		a := f.do(t, "POST", "/v1/objects/"+tt.path, tt.body, tt.headers...)
		got := a.body
		if a.status >= 400 {
			got = a.problem(t)
		}
		if a.status != tt.status || !strings.HasPrefix(got, tt.want) {
			t.Errorf("request %d, %s %s: %d %s, want %d %s", i, tt.path, tt.body, a.status, got, tt.status, tt.want)
		}
	}
}

// TestSessionOfAnother uses the session token of another principal. It is the same as an unknown token.
func TestSessionOfAnother(t *testing.T) {
	dir := t.TempDir()
	ann := token(t, filepath.Join(dir, "ann.bearer"), "ann-1")
	f := serve(t, "", rules+fmt.Sprintf(`
principal "ann" { bearer = [%q] }
permit "ann" {
  principals = ["ann"]
  objects    = ["acme.session"]
}
`, filepath.Join(dir, "ann.bearer")))
	session := f.do(t, "POST", "/v1/session", "").header.Get("Hearth-Session")
	const path = "/v1/objects/acme.session/next"
	if a := f.do(t, "POST", path, "", "Hearth-Session", session); a.body != "1" {
		t.Fatalf("the owner's call: %v", a)
	}
	theft := f.do(t, "POST", path, "", "Hearth-Session", session, "Authorization", "Bearer "+ann)
	guess := f.do(t, "POST", path, "", "Hearth-Session", "guess", "Authorization", "Bearer "+ann)
	if theft.status != 404 || theft.body != guess.body {
		t.Errorf("the session of another principal: %v, an unknown one: %v", theft, guess)
	}
	if a := f.do(t, "DELETE", "/v1/session", "", "Hearth-Session", session, "Authorization",
		"Bearer "+ann); a.status != 404 {
		t.Errorf("another principal ends the session: %v", a)
	}
	if a := f.do(t, "POST", path, "", "Hearth-Session", session); a.body != "2" {
		t.Errorf("the owner's next call: %v", a)
	}
}

// TestStreamOfRevokedKey revokes the key of a request that reads an endless stream. The stream ends and the answer is
// cut off.
func TestStreamOfRevokedKey(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "ann.bearer")
	ann := token(t, file, "ann-1")
	f := serve(t, "", rules+fmt.Sprintf(`
principal "ann" { bearer = [%q] }
permit "ann" {
  principals = ["ann"]
  objects    = ["acme.echo"]
}
`, file))
	r, err := http.NewRequestWithContext(t.Context(), "POST", f.url+"/v1/objects/acme.echo/endless", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+ann)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	if line, err := in.ReadString('\n'); err != nil || line != "1\n" {
		t.Fatalf("first item %q, %v", line, err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	last := ""
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			if line != "" || strings.HasPrefix(last, "{") && !strings.Contains(last, "urn:hearth:problem:") {
				t.Errorf("the end of the stream: %q, %q", last, line)
			}
			break
		}
		last = line
	}
	if n := len(f.audited(t, func(r *auditRecord) bool {
		return r.Event == "call" && r.Decision == "permit" && r.Principal == "ann"
	})); n == 0 {
		t.Error("no record of the stream")
	}
	for f.host.Status().Streams != 0 { // the test's time limit ends the wait
		runtime.Gosched()
	}
}
