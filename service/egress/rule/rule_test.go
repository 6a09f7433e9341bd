package rule_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/service/egress/rule"
)

// hostileURLs are URLs that must not be accepted, most of them because two parsers read them in two ways.
var hostileURLs = []string{
	"", "/", "//example.com/", "example.com", "HTTPS://example.com/", "ftp://example.com/", "file:///etc/passwd",
	"gopher://example.com/", "https:/example.com", "https:example.com", "https:///path", "https://",
	"https://user@example.com/", "https://user:pass@example.com/", "https://example.com@10.0.0.1/",
	"https://example.com:443@10.0.0.1/", "https://@example.com/", "https://example.com%40evil.test/",
	"https://example.com#@evil.test/", "https://example.com/#fragment", "https://example.com\\@evil.test/",
	"https://example.com\\.evil.test/", "https://evil.test\t.example.com/", "https://example.com/ HTTP/1.1",
	"https://example.com/\r\nHost: evil.test", "https://example.com/%0d%0aHost:%20evil.test",
	"https://example.com/%00", "https://example.com/%", "https://example.com/%2", "https://example.com/%zz",
	"https://2130706433/", "https://0x7f000001/", "https://0x7f.0.0.1/", "https://0177.0.0.1/", "https://127.1/",
	"https://127.0.0.01/", "https://127.0.0.1./", "https://1.2.3/", "https://1.2.3.4.5/", "https://999.1.1.1/",
	"https://example.com./", "https://.example.com/", "https://example..com/", "https://-example.com/",
	"https://example-.com/", "https://exa mple.com/", "https://exämple.com/", "https://example。com/",
	"https://ⓔxample.com/", "https://exa%6dple.com/", "https://[::1%25eth0]/", "https://[fe80::1%eth0]/",
	"https://[::ffff:127.0.0.1]/", "https://[0:0:0:0:0:0:0:1]/", "https://[::1/", "https://[::1]x/",
	"https://[127.0.0.1]/", "https://::1/", "https://example.com:/", "https://example.com:0/",
	"https://example.com:0443/", "https://example.com:65536/", "https://example.com:+443/", "https://example.com:44a/",
	"https://example.com/..", "https://example.com/v1/../admin", "https://example.com/v1/./x",
	"https://example.com/v1/%2e%2e/admin", "https://example.com/v1/.%2E/admin", "https://example.com/v1/%252e%252e/x",
	"https://example.com/v1/..%2fadmin", "https://example.com/v1/..%5cadmin", "https://example.com/v1/..;/admin",
	"https://example.com//admin", "https://example.com/v1//x", "https://example.com/v1/%2f/x",
	"https://example.com/%c0%ae%c0%ae/x", "https://example.com/<x>", "https://example.com/\"",
	"https://example.com/{x}",
	"https://example.com/" + strings.Repeat("a", rule.MaxURLBytes),
	"https://" + strings.Repeat("a", 64) + ".com/", "https://" + strings.Repeat("a.", 127) + "com/",
}

func TestParseURLRefuses(t *testing.T) {
	t.Parallel()
	for _, s := range hostileURLs {
		if got, err := rule.ParseURL(s); err == nil {
			t.Errorf("ParseURL(%.100q) = %+v", s, got)
		}
	}
}

func TestParseURL(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"https://example.com":                  "https://example.com:443 /",
		"https://EXAMPLE.com/A?b=C":            "https://example.com:443 /A?b=C",
		"http://example.com:8080/a":            "http://example.com:8080 /a",
		"https://10.0.0.1/":                    "https://10.0.0.1:443 /",
		"https://[2001:4860::1]:8443/":         "https://2001:4860::1:8443 /",
		"https://example.com?x=https://y/?z":   "https://example.com:443 /?x=https://y/?z",
		"https://xn--exmple-cua.com/":          "https://xn--exmple-cua.com:443 /",
		"https://a.b/100%25":                   "https://a.b:443 /100%25",
		"https://a.b/x%20y/@me;v=1/...":        "https://a.b:443 /x%20y/@me;v=1/...",
		"https://a.b/v1/projects/group%2fname": "https://a.b:443 /v1/projects/group%2fname",
	} {
		got, err := rule.ParseURL(s)
		if err != nil {
			t.Errorf("ParseURL(%q): %v", s, err)
			continue
		}
		text := got.Origin() + " " + got.Path
		if got.Query != "" {
			text += "?" + got.Query
		}
		if text != want {
			t.Errorf("ParseURL(%q) = %q, want %q", s, text, want)
		}
	}
}

// FuzzParseURL compares accepted URLs with the reading of net/url.
func FuzzParseURL(f *testing.F) {
	for _, s := range hostileURLs[:40] {
		f.Add(s)
	}
	f.Add("https://example.com/a%2fb?c=d")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := rule.ParseURL(s)
		if err != nil {
			return
		}
		other, err := url.Parse(s)
		if err != nil {
			t.Fatalf("%q is accepted: %+v; net/url: %v", s, got, err)
		}
		if !strings.EqualFold(other.Hostname(), got.Host) || other.User != nil || other.Fragment != "" {
			t.Fatalf("%q is read as %+v, and by net/url as %+v", s, got, other)
		}
		if u, err := got.URL(); err == nil && (u.EscapedPath() != got.Path || u.Host != got.Authority()) {
			t.Fatalf("%q is sent as %s", s, u)
		}
	})
}

func block() *rule.Block {
	return &rule.Block{
		Tenant:  "acme",
		Name:    "stripe",
		Objects: []object.ID{"acme.billing"},
		Hosts:   []rule.Host{{Name: "api.example.com"}, {Name: "example.org", Suffix: true}, {Name: "db", Port: 8443}},
		Methods: []string{"GET", "POST"},
		Paths:   []string{"/v1/*", "/users/*/name", "/exact"},
		Inject: []rule.Inject{
			{Header: "X-Api-Key", Value: rule.Template{{Secret: "key"}}},
			{Query: "api_key", Value: rule.Template{{Secret: "key"}}},
		},
		Basic: &rule.Basic{User: rule.Template{{Text: "u"}}, Password: rule.Template{{Secret: "password"}}},
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	b := block()
	for request, permit := range map[string]bool{
		"GET https://api.example.com/v1/":                true,
		"POST https://api.example.com/v1/a/b/c?x=y":      true,
		"GET https://api.example.com:443/exact":          true,
		"GET https://a.example.org/exact":                true,
		"GET https://db:8443/exact":                      true,
		"GET https://api.example.com/users/alice/name":   true,
		"GET https://api.example.com/users/a/b/name":     false,
		"GET https://api.example.com/users/a%2fb/name":   false,
		"GET https://api.example.com/v1":                 false,
		"GET https://api.example.com/v2/x":               false,
		"GET https://api.example.com/exact/":             false,
		"GET https://api.example.com/Exact":              false,
		"GET https://api.example.com/%65xact":            false,
		"DELETE https://api.example.com/v1/x":            false,
		"get https://api.example.com/v1/x":               false,
		"GET http://api.example.com/v1/x":                false,
		"GET https://api.example.com:8443/v1/x":          false,
		"GET https://example.com/v1/x":                   false,
		"GET https://evil-api.example.com/v1/x":          false,
		"GET https://api.example.com.evil.test/v1/x":     false,
		"GET https://example.org/exact":                  false,
		"GET https://a.b.example.org/exact":              false,
		"GET https://evilexample.org/exact":              false,
		"GET https://db/exact":                           false,
		"GET https://api.example.com/v1/x?api_key=1":     false,
		"GET https://api.example.com/v1/x?a=b&API_KEY=1": false,
		"GET https://api.example.com/v1/x?a=b;api_key=1": false,
		"GET https://api.example.com/v1/x?api%5fkey=1":   false,
		"GET https://api.example.com/v1/x?api%255fkey=1": false,
		"GET https://api.example.com/v1/x?api_key[]=1":   false,
		"GET https://api.example.com/v1/x?api.key=1":     false,
		"GET https://api.example.com/v1/x?q=api_key":     true,
		"GET /v1/x": false,
	} {
		method, target, _ := strings.Cut(request, " ")
		if _, err := b.Check(method, target); (err == nil) != permit {
			t.Errorf("Check(%s): %v", request, err)
		}
	}
	b.Hosts = b.Hosts[:1]
	if got, err := b.Check("GET", "/v1/x"); err != nil || got.Origin() != "https://api.example.com:443" {
		t.Errorf("a path of the only host: %+v, %v", got, err)
	}
	if _, err := b.Check("GET", "//evil.test/v1/x"); err == nil {
		t.Error("a URL without a scheme is accepted as a path")
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	for _, f := range []rule.Field{
		{"Host", "evil.test"}, {"host", "evil.test"}, {"Connection", "X-Api-Key"}, {"Content-Length", "5"},
		{"Transfer-Encoding", "chunked"}, {"transfer_encoding", "chunked"}, {"TE", "trailers"}, {"Trailer", "X"},
		{"Upgrade", "h2c"}, {"HTTP2-Settings", ""}, {"Proxy-Authorization", "x"}, {"Proxy-Connection", "x"},
		{"Keep-Alive", "x"}, {"Expect", "100-continue"}, {"Accept-Encoding", "br"},
		{"X-Api-Key", "mine"}, {"x-api-key", "mine"}, {"X_API_KEY", "mine"}, {"Authorization", "mine"},
		{"X-A", "a\r\nX-B: b"}, {"X-A", "a\nb"}, {"X-A", "a\x00b"}, {"X-A\r\nX-B", "b"}, {"X A", "b"}, {"X-A:", "b"},
		{"", "b"}, {":authority", "evil.test"}, {"X-Ä", "b"}, {"X-A", strings.Repeat("a", rule.MaxHeaderBytes)},
	} {
		if got, err := block().Headers([]rule.Field{f}); err == nil {
			t.Errorf("header %.60q is accepted: %.60v", f, got)
		} else if len(f.Value) > 3 && strings.Contains(err.Error(), f.Value) {
			t.Errorf("the error has the value: %v", err)
		}
	}
	got, err := block().Headers([]rule.Field{{"content-type", "text/plain"}, {"X-Trace", " 1\t"}})
	if err != nil || len(got) != 2 || got[0].Name != "Content-Type" || got[1].Value != "1" {
		t.Errorf("Headers: %v, %v", got, err)
	}
	if _, err := block().Headers(make([]rule.Field, rule.MaxFields+1)); err == nil {
		t.Error("too many headers are accepted")
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	blocks := []*rule.Block{block()}
	for id, serves := range map[object.ID]bool{
		"acme.billing": true, "acme.billing:alice": true, "acme.other": false, "rival.billing": false,
	} {
		if _, err := rule.Find(blocks, id, "stripe"); (err == nil) != serves {
			t.Errorf("%s: %v", id, err)
		}
	}
	_, missing := rule.Find(nil, "acme.other", "stripe")
	_, foreign := rule.Find(blocks, "acme.other", "stripe")
	if missing.Error() != foreign.Error() {
		t.Errorf("errors differ: %v; %v", missing, foreign)
	}
	if _, err := rule.Find(nil, "acme.other", "a\nb"); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}

func TestParseHost(t *testing.T) {
	t.Parallel()
	for s, valid := range map[string]bool{
		"example.com": true, "*.example.com": true, "Example.com:8443": true, "10.0.0.1": true,
		"[2001:4860::1]:1": true,
		"*":                false, "*.com": false, "*.*.com": false, "a.*.com": false, "*.10.0.0.1": false,
		"example.com:":        false,
		"https://example.com": false, "example.com/": false, "user@example.com": false, "": false, "0x7f.1": false,
	} {
		h, err := rule.ParseHost(s)
		if (err == nil) != valid {
			t.Errorf("ParseHost(%q) = %v, %v", s, h, err)
		}
		if err == nil && !strings.EqualFold(h.String(), s) {
			t.Errorf("ParseHost(%q) = %s", s, h)
		}
	}
}

func TestCheckPattern(t *testing.T) {
	t.Parallel()
	for s, valid := range map[string]bool{
		"/": true, "/*": true, "/v1/*/x": true, "": false, "v1": false, "/a?b": false, "/../x": false, "/a**": false,
		"/%2e": false, "/*/*/*/*/*": false,
	} {
		if err := rule.CheckPattern(s); (err == nil) != valid {
			t.Errorf("CheckPattern(%q): %v", s, err)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for s, valid := range map[string]bool{"GET": true, "PROPFIND": true, "get": false, "TRACE": false, "CONNECT": false,
		"": false, "GET ": false} {
		if err := rule.CheckMethod(s); (err == nil) != valid {
			t.Errorf("CheckMethod(%q): %v", s, err)
		}
	}
	for s, valid := range map[string]bool{"Authorization": true, "Host": false, "proxy-authorization": false,
		"a b":            false,
		"Content_Length": false} {
		if err := rule.CheckInjected(s); (err == nil) != valid {
			t.Errorf("CheckInjected(%q): %v", s, err)
		}
	}
	if got := block().Secrets(); len(got) != 2 || got[0] != "key" || got[1] != "password" {
		t.Errorf("Secrets: %v", got)
	}
}
