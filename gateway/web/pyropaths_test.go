package web_test

import (
	"bufio"
	"encoding/json"
	"maps"
	"net/http"
	"os/exec"
	"strings"
	"testing"
)

// echoServer has the methods of the echo server that comes with Pyro4.
const echoServer = `
local Echo = hearth.object { instance = "single" }
function Echo:init() self.loud = false end
function Echo.expose:echo(message) return message end
function Echo.expose:error()
  error(hearth.exception("ValueError", "expected error from echoserver error() method"))
end
function Echo.expose:error_with_text() error(hearth.exception("ValueError", "the message of the error")) end
function Echo.oneway:oneway_echo(message) end
function Echo.oneway:oneway_slow() end
function Echo.expose:slow() return "Finally, an answer!" end
function Echo.expose:generator()
  local i = 0
  return hearth.stream(function() i = i + 1; return ({"one", "two", "three"})[i] end)
end
function Echo.expose:nan() return 0/0 end
function Echo.expose:inf() return 1/0 end
function Echo.expose:shutdown() end
function Echo.get:verbose() return self.loud end
return Echo`

// pyroRules permit the echo server and serve Pyro clients too.
const pyroRules = `
listener "pyro" { address = "127.0.0.1:0" }
principal "owner" { host_user = true }
tenant "acme" {}
tenant "test" {}
permit "owner may call all but one" {
  principals = ["owner"]
  objects    = ["test.*"]
}
forbid "no shutdown" {
  principals = ["owner"]
  objects    = ["test.echoserver"]
  methods    = ["shutdown"]
}
`

// servePyroPaths starts a host with the echo server.
func servePyroPaths(t *testing.T) *fixture {
	t.Helper()
	scripts := maps.Clone(scripts)
	scripts["test/echoserver.lua"] = echoServer
	return serveScripts(t, scripts, "pyro_paths = true", pyroRules)
}

// exception returns the class and the arguments of an exception dict.
func (a answer) exception(t *testing.T) string {
	t.Helper()
	var e struct {
		Class     string `json:"__class__"`
		Exception bool   `json:"__exception__"`
		Args      []any
	}
	if err := json.Unmarshal([]byte(a.body), &e); err != nil || !e.Exception {
		t.Errorf("%d %q is no exception: %v", a.status, a.body, err)
	}
	text, err := json.Marshal(e.Args)
	if err != nil {
		t.Error(err)
	}
	return e.Class + string(text)
}

func TestPyroPaths(t *testing.T) {
	f := servePyroPaths(t)
	const echo = "/pyro/test.echoserver/"
	for _, tt := range []struct {
		method, path, body string
		status             int
		want               string // body, or class and arguments of an exception
	}{
		{"GET", echo + "echo?message=hi+there%21", "", 200, `"hi there!"`},
		{"POST", echo + "echo", "message=hi", 200, `"hi"`},
		{"POST", echo + "echo?message=a", "message=b", 200, `["a", "b"]`},
		{"GET", echo + "echo?message=1&message=%C3%A9", "", 200, `["1", "é"]`},
		{"GET", echo + "echo?message=", "", 200, "null"},
		{"GET", echo + "verbose", "", 200, "false"},
		{"GET", echo + "oneway_echo?message=x", "", 200, ""},
		{"GET", echo + "$meta", "", 200, `{"methods":["echo","error","error_with_text","generator","inf","nan",` +
			`"oneway_echo","oneway_slow","slow"],"attributes":["verbose"]}`},
		{"GET", echo + "error", "", 500, `builtins.ValueError["expected error from echoserver error() method"]`},
		{"GET", echo + "generator", "", 500, `Pyro4.errors.ProtocolError["result of call is an iterator"]`},
		{"GET", echo + "verbose?x=1", "", 500,
			`builtins.AssertionError["attribute lookup can't have query parameters"]`},
		{"GET", echo + "echo?text=x", "", 500,
			`builtins.TypeError["echo: no parameter text; the parameters are message"]`},
		{"GET", "/pyro/test.missing/echo", "", 500, `Pyro4.errors.NamingError["unknown name: test.missing"]`},
		{"GET", "/pyro/acme.counter/total", "", 500, `Pyro4.errors.NamingError["unknown name: acme.counter"]`},
		{"GET", "/pyro/Pyro.NameServer/list", "", 500, `Pyro4.errors.NamingError["unknown name: Pyro.NameServer"]`},
		{"GET", echo + "echo?$key=hk_x", "", 400, "invalid no : a key in the address"},
		{"GET", echo + "echo?message=%FF", "", 400, "invalid no : an argument is not UTF-8"},
		{"GET", echo + "echo?message=%zz", "", 400, "invalid no : the arguments are not"},
		{"GET", echo + "echo?" + strings.Repeat("a&", 1001), "", 400, "invalid no : a request takes at most"},
		{"PUT", echo + "verbose", "", 405, "invalid no : "},
		{"GET", echo + "echo/x", "", 404, "not_found no : "},
	} {
		headers := []string{"Content-Type", ""}
		if tt.body != "" {
			headers = append(headers, "Content-Type", "application/x-www-form-urlencoded")
		}
		a := f.do(t, tt.method, tt.path, tt.body, headers...)
		got, exact := a.body, true
		switch {
		case a.status == 500:
			got = a.exception(t)
		case a.status >= 400:
			got, exact = a.problem(t), false
		case a.status == 200 && a.header.Get("X-Pyro-Correlation-Id") == "":
			t.Errorf("%s: no correlation id", tt.path)
		}
		if a.status != tt.status || exact && got != tt.want || !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s %.100s: %d %q, want %d %q", tt.method, tt.path, a.status, got, tt.status, tt.want)
		}
	}
	// A member that the caller may not use is the same as one that does not exist.
	hidden, missing := f.do(t, "GET", echo+"shutdown", ""), f.do(t, "GET", echo+"missing", "")
	if hidden.body != missing.body || hidden.status != 500 || !strings.HasPrefix(hidden.exception(t),
		"builtins.AttributeError") {
		t.Errorf("hidden %v, missing %v", hidden, missing)
	}
	const page = "GET /pyro/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
	if got := f.raw(t, page); len(got) != 1 || got[0] != http.StatusFound {
		t.Errorf("/pyro/: %v", got)
	}
	const id = "11112222-1111-2222-3333-222244449999"
	if a := f.do(t, "GET", echo+"slow", "", "X-Pyro-Correlation-Id", id, "X-Pyro-Options", "oneway"); a.status != 200 ||
		a.body != "" || a.header.Get("X-Pyro-Correlation-Id") != id {
		t.Errorf("oneway: %v", a)
	}
	for _, tt := range [][2]string{{"Host", "evil.example"}, {"Sec-Fetch-Site", "cross-site"},
		{"Origin", "https://evil.example"}, {"Authorization", "Bearer x"}, {"X-Pyro-Correlation-Id", "1"}} {
		if a := f.do(t, "GET", echo+"slow", "", tt[0], tt[1]); a.status < 400 || a.status == 500 {
			t.Errorf("%s: %v", tt, a)
		}
	}
	off := serve(t, "", rules)
	if a := off.do(t, "GET", "/pyro/acme.counter/total", ""); a.status != 404 {
		t.Errorf("a listener without pyro_paths: %v", a)
	}
}

// pyroGateway runs Pyro4's own gateway and returns its address.
func pyroGateway(t *testing.T, args ...string) string {
	t.Helper()
	const python = "/usr/bin/python3"
	if out, err := exec.CommandContext(t.Context(), python, "-c", "import Pyro4, cgi").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: Pyro4's own HTTP gateway was not compared: %s cannot import it "+
			"(apt-get install python3-pyro4): %v\n%s", python, err, out)
	}
	cmd := exec.CommandContext(t.Context(), python, append([]string{"testdata/gateway.py"}, args...)...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH="}
	var errs strings.Builder
	cmd.Stderr = &errs
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("Pyro4's gateway: %s", errs.String())
		}
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("Pyro4's gateway: %v\n%s", err, errs.String())
	}
	return strings.TrimSpace(address)
}

// TestPyroGateway compares the answers of Pyro4's own gateway with ours: for the same object, and for the echo server
// that comes with Pyro4. Texts are ASCII: under wsgiref, Pyro4's gateway reads UTF-8 as Latin-1.
func TestPyroGateway(t *testing.T) {
	ours := servePyroPaths(t)
	theirs := &fixture{url: pyroGateway(t, ours.host.Addrs()[1])}
	real := &fixture{url: pyroGateway(t)}
	for _, member := range []string{
		"echo?message=hi", "echo?message=hi+there%21%22%26", "echo?message=1&message=2",
		"error", "error_with_text", "oneway_echo?message=x", "oneway_slow", "slow", "generator", "nan", "inf",
		"verbose", "verbose?x=1",
	} {
		for _, method := range []string{"GET", "POST"} {
			path, headers := "/pyro/test.echoserver/"+member, []string(nil)
			body := ""
			if method == "POST" {
				path, body, _ = strings.Cut(path, "?")
				headers = []string{"Content-Type", "", "Content-Type", "application/x-www-form-urlencoded"}
			}
			want := ours.do(t, method, path, body, headers...)
			for name, f := range map[string]*fixture{"the same object": theirs, "Pyro4's echo server": real} {
				got := f.do(t, method, path, body, headers...)
				same := got.body == want.body
				if got.status == 500 && want.status == 500 {
					same = got.exception(t) == want.exception(t)
				}
				if got.status != want.status || !same || got.header.Get("Content-Type") !=
					want.header.Get("Content-Type") {
					t.Errorf("%s %s: we answer %d %q, Pyro4's gateway %d %q for %s", method, path, want.status,
						want.body, got.status, got.body, name)
				}
			}
		}
	}
	missing := "/pyro/test.missing/echo"
	if got, want := theirs.do(t, "GET", missing, ""), ours.do(t, "GET", missing, ""); got.status != want.status ||
		got.exception(t) != want.exception(t) {
		t.Errorf("an unknown object: we answer %v, Pyro4's gateway %v", want, got)
	}
	const put = "/pyro/test.echoserver/echo"
	if got, want := theirs.do(t, "PUT", put, ""), ours.do(t, "PUT", put, ""); got.status != want.status ||
		got.status != http.StatusMethodNotAllowed {
		t.Errorf("PUT: we answer %v, Pyro4's gateway %v", want, got)
	}
}
