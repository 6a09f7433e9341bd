package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/host/hosttest"
	"github.com/hearthhost/hearth/sandbox/worker"
)

// TestMain also runs the test binary as a worker.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		os.Exit(worker.Main("hearth worker"))
	}
	os.Exit(m.Run())
}

const rules = `
principal "owner" { host_user = true }
tenant "acme" {}
tenant "other" {}
permit "owner may call acme" {
  principals = ["owner"]
  objects    = ["acme.*"]
  tracebacks = false
}
`

var scripts = map[string]string{
	"acme/counter.lua": `
local Counter = hearth.object { doc = "Counts.", instance = "single" }
function Counter:init() self.n = 0 end
-- Adds k.
function Counter.expose:add(k) self.n = self.n + k; return self.n end
function Counter.oneway:reset() self.n = 0 end
function Counter.get:total() return self.n end
function Counter.set:total(v) self.n = v end
return Counter`,
	"acme/echo.lua": `
local Echo = hearth.object { instance = "call" }
function Echo.expose:echo(...) return ... end
function Echo.expose:fail(class) error(hearth.exception(class or "KeyError", "gone", 2)) end
function Echo.expose:raise() error("text") end
function Echo.expose:count(n)
  local i = 0
  return hearth.stream(function() i = i + 1; if i <= n then return i end end)
end
function Echo.expose:broken(n)
  local i = 0
  return hearth.stream(function()
    i = i + 1
    if i > n then error(hearth.exception("ValueError", "no more")) end
    return i
  end)
end
function Echo.expose:endless()
  local i = 0
  return hearth.stream(function() i = i + 1; return i end)
end
function Echo.expose:flood()
  local item = ("x"):rep(100000)
  return hearth.stream(function() return item end)
end
function Echo.expose:laborious()
  return hearth.stream(function() local x = 0; for i = 1, 1e6 do x = x + i end; return x end)
end
function Echo.expose:nothing() end
function Echo.expose:nan() return 0/0 end
function Echo.expose:bytes() return hearth.bytes(string.char(255, 0)) end
function Echo.expose:spin() while true do end end
function Echo.expose:caller() return hearth.caller() end
return Echo`,
	"acme/session.lua": `
local S = hearth.object { instance = "session" }
function S:init() self.n = 0 end
function S.expose:next() self.n = self.n + 1; return self.n end
return S`,
	"acme/cart.lua": `
local Cart = hearth.object { instance = "keyed" }
function Cart:init(key) self.key = key end
function Cart.expose:key() return self.key end
return Cart`,
	"acme/typed.lua": `
---@alias Color "red"|"blue"
local T = hearth.object { doc = "</script><img src=x onerror=alert(1)>" }
-- Paints.
---@param color Color
---@param count integer how many
---@param ratio number?
---@param label string?
---@param really boolean
---@param parts integer[]
---@return string text what was painted
function T.expose:paint(color, count, ratio, label, really, parts) return "x" end
---@param ... integer
function T.expose:sum(...) return 0 end
function T.expose:open(kwargs) return 0 end
---@return integer
function T.get:size() return 1 end
---@param v integer
function T.set:size(v) end
return T`,
	"other/hidden.lua": `local H = hearth.object {} function H.expose:hi() return "hi" end return H`,
}

// fixture is a running host with one HTTP listener.
type fixture struct {
	host *host.Host
	dir  string
	url  string
}

// serve starts a host whose listener has further settings, and ends it with the test.
func serve(t testing.TB, settings, rules string, with ...func(*host.Config)) *fixture {
	t.Helper()
	return serveScripts(t, scripts, settings, rules, with...)
}

// serveScripts is like serve with other scripts.
func serveScripts(t testing.TB, scripts map[string]string, settings, rules string, with ...func(*host.Config),
) *fixture {
	t.Helper()
	h, dir := hosttest.Make(t, scripts, policyText(settings, rules), with...)
	hosttest.Serve(t, h)
	return &fixture{host: h, dir: dir, url: "http://" + h.Addrs()[0]}
}

// prepare is like serve for a host that does not listen yet.
func prepare(t testing.TB, settings, rules string, with ...func(*host.Config)) (*host.Host, string) {
	t.Helper()
	return hosttest.Make(t, scripts, policyText(settings, rules), with...)
}

// policyText returns a policy with one HTTP listener.
func policyText(settings, rules string) string {
	if !strings.Contains(settings, "address") {
		settings = "address = \"127.0.0.1:0\"\n" + settings
	}
	return fmt.Sprintf("listener \"web\" {\nprotocol = \"http\"\n%s\n}\n%s", settings, rules)
}

// answer is the answer to a request.
type answer struct {
	status int
	header http.Header
	body   string
}

// problem returns the fields of a problem as "type executed class: detail".
func (a answer) problem(t testing.TB) string {
	t.Helper()
	var p struct{ Type, Detail, Executed, Class string }
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("%d %q is not a problem: %v", a.status, a.body, err)
	}
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("problem with Content-Type %q", got)
	}
	return strings.TrimPrefix(p.Type, "urn:hearth:problem:") + " " + p.Executed + " " + p.Class + ": " + p.Detail
}

// do makes a request. headers are pairs of name and value; "Host" sets the host.
func (f *fixture) do(t testing.TB, method, path, body string, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, f.url+path, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		} else if headers[i+1] == "" {
			r.Header.Del(headers[i])
		} else {
			r.Header.Add(headers[i], headers[i+1])
		}
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %d %q: %v", method, path, resp.StatusCode, b, err)
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

func TestCalls(t *testing.T) {
	f := serve(t, "", rules)
	const objects = "/v1/objects/"
	for _, tt := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "acme.counter/add", `[5]`, 200, "5"},
		{"POST", "acme.counter/add", ` [ 2 ] `, 200, "7"},
		{"GET", "acme.counter/total", "", 200, "7"},
		{"PUT", "acme.counter/total", "41", 204, ""},
		{"GET", "acme.counter/total", "", 200, "41"},
		{"POST", "acme.counter/reset", "", 202, ""},
		{"GET", "acme.counter/total", "", 200, "0"},
		{"POST", "acme.echo/nothing", "", 204, ""},
		{"POST", "acme.echo/nothing", "[]", 204, ""},
		{"POST", "acme.echo/echo", `["é\u00e9\n", 1.5, true, null, {"a": [1, {}]}, []]`, 200,
			`["éé\n", 1.5, true, null, {"a": [1, {}]}, []]`},
		{"POST", "acme.echo/echo", `[9007199254740993]`, 200, "9007199254740993"},
		{"POST", "acme.echo/echo", `[1.5e3]`, 200, "1500"},
		{"POST", "acme.echo/echo", `[-0, -9223372036854775808, 999999999999999999]`, 200,
			`[0, -9223372036854775808, 999999999999999999]`},
		{"POST", "acme.echo/echo", "[-" + strings.Repeat("9", 5000) + "]", 413, "too_large no : integer of more than"},
		{"POST", "acme.echo/echo", `[{"data": "/wA=", "encoding": "base64"}]`, 200,
			`{"data": "/wA=", "encoding": "base64"}`},
		{"POST", "acme.echo/bytes", ``, 200, `{"data": "/wA=", "encoding": "base64"}`},
		{"POST", "acme.cart:alice/key", "", 200, `"alice"`},
		{"POST", "acme.cart%3Aalice/key", "", 200, `"alice"`},
		{"POST", "acme.echo/fail", "", 500, "raised yes KeyError: gone"},
		{"POST", "acme.echo/fail", `["shop.OutOfStock"]`, 500, "raised yes shop.OutOfStock: gone"},
		{"POST", "acme.echo/nan", "", 500, "raised yes TypeError: "},
		{"POST", "acme.counter/add", `[1, 2]`, 400, "invalid no : add: takes 1 argument, got 2"},
		{"POST", "acme.counter/add", `{"n": 2}`, 400, "invalid no : add: no parameter n; the parameters are k"},
		{"POST", "acme.typed/sum", `[1, "executed"]`, 400, "invalid no : sum: argument 2: expected integer, got "},
		{"POST", "acme.typed/paint", `{"color": "green"}`, 400, "invalid no : paint: color: expected "},
		{"PUT", "acme.typed/size", `"big"`, 400, "invalid no : size: the value: expected integer, got string"},
		{"POST", "acme.echo/fail", `["TypeError"]`, 500, "raised yes TypeError: gone"},
		{"POST", "acme.none/x", "", 404, "not_found no : unknown object"},
		{"POST", "other.hidden/hi", "", 404, "not_found no : unknown object"},
		{"POST", "Pyro.Daemon/ping", "", 204, ""},
		{"POST", "Pyro.Daemon/get_metadata", `{"objectId": "other.hidden"}`, 404, "not_found no : unknown object"},
		{"POST", "Pyro.Daemon/describe", `["` + strings.Repeat("x", 70_000) + `"]`, 413, "too_large no : limit"},
		{"POST", "Pyro.Daemon/describe", "[5]", 400, "invalid no : objectId must be a text"},
		{"POST", "Pyro.Daemon/describe", `{"id": "x"}`, 400, "invalid no : describe() got a keyword"},
		{"POST", "Pyro.Daemon/get_next_stream_item", `["x"]`, 404, "not_found no : Pyro.Daemon has no such method"},
		{"POST", "Pyro.NameServer/lookup", `["acme.echo"]`, 200, `"/v1/objects/acme.echo"`},
		{"POST", "Pyro.NameServer/list", `{"prefix": "acme.ec"}`, 200, `{"acme.echo": "/v1/objects/acme.echo"}`},
		{"POST", "Pyro.NameServer/lookup", `["other.hidden"]`, 404, "not_found no NamingError: unknown name"},
		{"POST", "Pyro.Enroll/key", `["x"]`, 404, "not_found no : unknown object"},
		{"POST", "acme.echo/missing", "", 404, "not_found no : "},
		{"GET", "acme.echo/echo", "", 404, "not_found no : "},
		{"POST", "acme.echo/echo", `{"a": 1, "a": 2}`, 400, "invalid no : json: the key"},
		{"POST", "acme.echo/echo", `[NaN]`, 400, "invalid no : json: a value must follow"},
		{"POST", "acme.echo/echo", `[1e999]`, 400, "invalid no : json: the number"},
		{"POST", "acme.echo/echo", "[\"\xff\"]", 400, "invalid no : json: a text is not UTF-8"},
		{"POST", "acme.echo/echo", `["\ud800"]`, 400, "invalid no : json: an invalid escape"},
		{"POST", "acme.echo/echo", `"text"`, 400, "invalid no : the body of a call"},
		{"POST", "acme.echo/echo", strings.Repeat("[", 100), 413, "too_large no : containers nest deeper than 64"},
		{"PUT", "acme.counter/total", "1, 2", 400, "invalid no : json: extra data"},
		{"DELETE", "acme.counter/total", "", 405, "invalid no : "},
	} {
		a := f.do(t, tt.method, objects+tt.path, tt.body)
		got := a.body
		if strings.HasPrefix(a.body, `{"type"`) {
			got = a.problem(t)
		}
		if a.status != tt.status || !strings.HasPrefix(got, tt.want) || tt.status < 300 && got != tt.want {
			t.Errorf("%s %s %s: %d %q, want %d %q", tt.method, tt.path, tt.body, a.status, got, tt.status, tt.want)
		}
	}
}

// TestHiddenEqualsMissing compares the answers for objects that do not exist with those that the caller may not see.
func TestHiddenEqualsMissing(t *testing.T) {
	f := serve(t, "", rules)
	for _, request := range [][2]string{{"POST", "/hi"}, {"GET", "/hi"}, {"PUT", "/hi"}, {"GET", ""}, {"POST", "/a"}} {
		var answers []answer
		ids := []string{"other.hidden", "other.missing", "none.none", "Pyro.Enroll", "Pyro.None", "other.hidden:k"}
		for _, id := range ids {
			body := ""
			if request[0] == "PUT" {
				body = "1"
			}
			a := f.do(t, request[0], "/v1/objects/"+id+request[1], body)
			a.header.Del("Date")
			answers = append(answers, a)
		}
		for _, a := range answers[1:] {
			if fmt.Sprint(a) != fmt.Sprint(answers[0]) {
				t.Errorf("%v: %v and %v differ", request, answers[0], a)
			}
		}
		if answers[0].status != 404 {
			t.Errorf("%v: %v, want 404", request, answers[0])
		}
	}
}

func TestListing(t *testing.T) {
	f := serve(t, "", rules)
	if a := f.do(t, "GET", "/v1/objects", ""); a.status != 200 ||
		a.body != `{"objects":["acme.cart:*","acme.counter","acme.echo","acme.session","acme.typed"]}` {
		t.Errorf("listing: %v", a)
	}
	if a := f.do(t, "GET", "/v1/objects/acme.counter", ""); a.status != 200 ||
		!strings.Contains(a.body, `"name":"add","doc":"Adds k."`) {
		t.Errorf("description: %v", a)
	}
}

// TestUnidentified makes requests of a caller that matches no principal.
func TestUnidentified(t *testing.T) {
	f := serve(t, "", strings.ReplaceAll(rules, "host_user = true", "uid = 4000000"))
	a := f.do(t, "POST", "/v1/objects/acme.echo/nothing", "")
	if a.status != 401 || a.header.Get("WWW-Authenticate") == "" ||
		!strings.HasPrefix(a.problem(t), "unauthenticated no") {
		t.Errorf("unknown caller: %v", a)
	}
	f = serve(t, "", rules)
	if a := f.do(t, "POST", "/v1/objects/acme.echo/nothing", "", "Authorization", "Bearer x"); a.status != 401 {
		t.Errorf("credentials that nothing checks: %v", a)
	}
}

func TestStreams(t *testing.T) {
	f := serve(t, "", rules)
	const path = "/v1/objects/acme.echo/"
	a := f.do(t, "POST", path+"count", "[3]")
	if a.status != 200 || a.body != "1\n2\n3\n" || a.header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("NDJSON: %v", a)
	}
	a = f.do(t, "POST", path+"count", "[2]", "Accept", "text/event-stream")
	if a.status != 200 || a.body != "data: 1\n\ndata: 2\n\nevent: end\ndata:\n\n" ||
		a.header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("events: %v", a)
	}
	for accept, want := range map[string]string{
		"": "1\n" + `{"type":"urn:hearth:problem:raised","title":"Internal Server Error","status":500,` +
			`"detail":"no more","executed":"yes","class":"ValueError"}` + "\n",
		"text/event-stream": "data: 1\n\nevent: error\ndata: " +
			`{"type":"urn:hearth:problem:raised","title":"Internal Server Error","status":500,` +
			`"detail":"no more","executed":"yes","class":"ValueError"}` + "\n\n",
	} {
		r, err := http.NewRequestWithContext(t.Context(), "POST", f.url+path+"broken", strings.NewReader("[1]"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", accept)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(b) != want || err == nil {
			t.Errorf("a stream that fails: %q, %v; want %q and an error of the connection", b, err, want)
		}
	}
}

// TestStreamClientGone ends a request in the middle of a stream. The stream is closed.
func TestStreamClientGone(t *testing.T) {
	f := serve(t, "", rules)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "POST", f.url+"/v1/objects/acme.echo/endless", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	if n := f.host.Status().Streams; n != 1 {
		t.Errorf("%d open streams, want 1", n)
	}
	cancel()
	resp.Body.Close()
	for f.host.Status().Streams != 0 { // the test's time limit ends the wait
		runtime.Gosched()
	}
}

func TestSessions(t *testing.T) {
	f := serve(t, "", rules)
	next := func(token string) answer {
		return f.do(t, "POST", "/v1/objects/acme.session/next", "", "Hearth-Session", token)
	}
	for range 2 {
		if a := next(""); a.body != "1" {
			t.Errorf("without a session: %v, want a new instance", a)
		}
	}
	first, second := "", ""
	for _, token := range []*string{&first, &second} {
		a := f.do(t, "POST", "/v1/session", "")
		if *token = a.header.Get("Hearth-Session"); a.status != 204 || len(*token) < 26 {
			t.Fatalf("new session: %v", a)
		}
	}
	for i, token := range []string{first, first, second, first} {
		if a := next(token); a.body != []string{"1", "2", "1", "3"}[i] {
			t.Errorf("call %d: %v", i, a)
		}
	}
	if a := f.do(t, "DELETE", "/v1/session", "", "Hearth-Session", first); a.status != 204 {
		t.Errorf("end of a session: %v", a)
	}
	for _, token := range []string{first, "guess", strings.Repeat("x", 1000)} {
		if a := next(token); a.status != 404 || !strings.HasPrefix(a.problem(t), "not_found no") {
			t.Errorf("session %.10q: %v", token, a)
		}
	}
	for range 63 {
		f.do(t, "POST", "/v1/session", "")
	}
	if a := f.do(t, "POST", "/v1/session", ""); a.status != 429 || a.header.Get("Retry-After") == "" {
		t.Errorf("too many sessions: %v", a)
	}
}
