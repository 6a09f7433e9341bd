package endpoint_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy/policyfile"
	"github.com/hearthhost/hearth/policy/policytest"
)

func TestHTTP(t *testing.T) {
	t.Parallel()
	p := policytest.Parse(t, `listener "web" {
  protocol    = "http"
  address     = "127.0.0.1:8080"
  hosts       = ["Hearth.example.org", "localhost:8080", "[2001:DB8::1]:8443", "192.0.2.1"]
  cors        = ["https://app.example.org", "http://localhost:3000"]
  mcp         = true
  pyro_paths  = true
}`)
	h := p.Listeners[0].HTTP
	if h == nil || !h.MCP || !h.PyroPaths || len(h.CORS) != 2 || !slices.Equal(h.Hosts,
		[]string{"hearth.example.org", "localhost:8080", "[2001:db8::1]:8443", "192.0.2.1"}) {
		t.Errorf("HTTP = %+v", h)
	}
	for _, text := range []string{`protocol = "pyro"`, ""} {
		p := policytest.Parse(t, "listener \"l\" {\naddress = \"127.0.0.1:1\"\n"+text+"\n}")
		if p.Listeners[0].HTTP != nil {
			t.Errorf("%q: a listener of Pyro clients has HTTP settings", text)
		}
	}
}

func TestHTTPProblems(t *testing.T) {
	t.Parallel()
	const local = "protocol = \"http\"\naddress = \"127.0.0.1:8080\"\n"
	const public = "protocol = \"http\"\naddress = \"0.0.0.0:8443\"\nidentify = [\"cert\"]\n"
	const tls = "tls {\ncert = \"c\"\nkey = \"k\"\nclient_ca = [\"a\"]\n}\n"
	for text, want := range map[string]string{
		"protocol = \"htp\"\naddress = \"127.0.0.1:1\"":     `unknown protocol "htp"`,
		"address = \"127.0.0.1:1\"\ncors = [\"https://a\"]": `cors is a setting of protocol "http"`,
		local + `identify = ["hmac"]`:                       `"hmac" is a method of Pyro clients`,
		local + `identify = ["pyro4-hmac"]`:                 `"pyro4-hmac" is a method of Pyro clients`,
		local + `hosts = ["http://a"]`:                      `"http://a" is not the value of a header Host`,
		local + `hosts = ["a:0"]`:                           `"a:0" is not the value`,
		local + `hosts = ["a b"]`:                           `"a b" is not the value`,
		local + `hosts = ["*.a"]`:                           `"*.a" is not the value`,
		local + `hosts = ["[1.2.3.4]"]`:                     `"[1.2.3.4]" is not the value`,
		local + `cors = ["*"]`:                              `"*" is not an origin`,
		local + `cors = ["https://a/"]`:                     `"https://a/" is not an origin`,
		local + `cors = ["null"]`:                           `"null" is not an origin`,
		public + `hosts = ["a"]`:                            "for other machines needs TLS",
		public + tls:                                        "must set hosts",
		public + tls + "hosts = [\"a\"]\nplain = true":      "accepts TLS only",
	} {
		_, err := policyfile.Parse("policy.hcl", []byte("listener \"web\" {\n"+text+"\n}"), "/", 1, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestMCPBlock reads mcp blocks of listeners.
func TestMCPBlock(t *testing.T) {
	t.Parallel()
	const head = "tenant \"acme\" {}\nlistener \"web\" {\nprotocol = \"http\"\naddress = \"127.0.0.1:8080\"\n"
	p := policytest.Parse(t, head+"mcp {\nexpose = [\"acme.shop.*\", \"acme.box\"]\norigin = \"https://h.example\"\n}\n}")
	h := p.Listeners[0].HTTP
	if !h.MCP || h.Origin != "https://h.example" {
		t.Errorf("%+v", h)
	}
	for id, want := range map[object.ID]bool{
		"acme.box": true, "acme.box:key": true, "acme.shop.cart:*": true, "acme.till": false, "other.box": false,
	} {
		if got := h.Exposes(id); got != want {
			t.Errorf("Exposes(%s) = %v", id, got)
		}
	}
	for text, want := range map[string]string{
		"mcp {}\nmcp {}":                    "mcp = true, or one mcp block",
		"mcp = true\nmcp {}":                "mcp = true, or one mcp block",
		"mcp { expose = [\"acme.box:k\"] }": "has a key",
		"mcp { expose = [\"acme\"] }":       "is not a pattern",
		"mcp { expose = [] }":               "the list is empty",
		"mcp { origin = \"http://a\" }":     "is not an https origin",
		"mcp { origin = \"https://a/b\" }":  "is not an https origin",
		"mcp { tools = [] }":                "no attribute",
	} {
		_, err := policyfile.Parse("policy.hcl", []byte(head+text+"\n}"), "/", 1, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	text := "listener \"l\" {\naddress = \"127.0.0.1:1\"\nmcp {}\n}"
	if _, err := policyfile.Parse("policy.hcl", []byte(text), "/", 1, nil); err == nil {
		t.Error("a listener of Pyro clients has an mcp block")
	}
}
