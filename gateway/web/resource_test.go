package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// oidcRules permit tokens of an issuer to call the counter and the echo.
func oidcRules(issuer, audience string) string {
	return rules + fmt.Sprintf(`
principal "agent" {
  oidc {
    issuer   = %q
    plain    = true
    audience = %q
    claims   = { sub = "ann" }
  }
}
permit "agent" {
  principals = ["agent"]
  objects    = ["acme.counter", "acme.echo"]
}
`, issuer, audience)
}

// TestResourceMetadata lets the official client find the issuer by the host's challenge, get a token, and call a tool.
func TestResourceMetadata(t *testing.T) {
	key, issued := newIssuer(t)
	key.more.Store(http.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/oauth-authorization-server":
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]any{
				"issuer":                           issued,
				"authorization_endpoint":           issued + "/authorize",
				"token_endpoint":                   issued + "/token",
				"jwks_uri":                         issued + "/keys",
				"response_types_supported":         []string{"code"},
				"code_challenge_methods_supported": []string{"S256"},
			})
		case "/token":
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]any{"access_token": key.token("tools", "ann", "main"),
				"token_type": "Bearer", "expires_in": 300})
		default:
			http.NotFound(w, r)
		}
	})))
	f := serve(t, "identify = [\"oidc\"]\nmcp { expose = [\"acme.counter\"] }", oidcRules(issued, "tools"))
	for path, resource := range map[string]string{"": f.url, "/mcp": f.url + "/mcp"} {
		at := f.url + "/.well-known/oauth-protected-resource" + path
		doc, err := oauthex.GetProtectedResourceMetadata(t.Context(), at, resource, http.DefaultClient)
		if err != nil || !slices.Equal(doc.AuthorizationServers, []string{issued}) {
			t.Errorf("metadata %s: %+v, %v", path, doc, err)
		}
	}
	a := f.do(t, "POST", "/mcp", "{}")
	want := `resource_metadata="` + f.url + `/.well-known/oauth-protected-resource/mcp"`
	if a.status != 401 || !strings.HasSuffix(a.header.Get("WWW-Authenticate"), want) {
		t.Errorf("without a token: %v, want %s", a, want)
	}
	a = f.do(t, "POST", "/mcp", "{}", "Authorization", "Bearer "+key.token("another", "ann", "main"))
	if h := a.header.Get("WWW-Authenticate"); a.status != 401 || !strings.HasSuffix(h, want) ||
		!strings.Contains(h, "invalid_token") {
		t.Errorf("a token for another audience: %v", a)
	}
	if h := f.do(t, "GET", "/v1/objects", "").header.Get("WWW-Authenticate"); strings.Contains(h, "metadata") {
		t.Errorf("another path: %s", h)
	}
	for method, path := range map[string]string{"POST": "", "GET": "?x=1", "PUT": "/mcp"} {
		if a := f.do(t, method, "/.well-known/oauth-protected-resource"+path, ""); a.status != 405 && a.status != 400 {
			t.Errorf("%s %s: %v", method, path, a)
		}
	}
	if a := f.do(t, "GET", "/.well-known/oauth-protected-resource/v1", ""); a.status != 401 {
		t.Errorf("metadata of another path: %v", a)
	}
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		PreregisteredClient: &oauthex.ClientCredentials{ClientID: "agent"},
		RedirectURL:         "http://127.0.0.1:1/callback",
		AuthorizationCodeFetcher: func(
			_ context.Context, args *auth.AuthorizationArgs,
		) (*auth.AuthorizationResult, error) {
			u, err := url.Parse(args.URL)
			if err != nil {
				return nil, err
			}
			if got := u.Query().Get("resource"); got != f.url+"/mcp" {
				t.Errorf("the client requests a token for %q", got)
			}
			return &auth.AuthorizationResult{Code: "code", State: u.Query().Get("state")}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, nil)
	transport := &mcp.StreamableClientTransport{Endpoint: f.url + "/mcp", OAuthHandler: handler}
	s, err := client.Connect(t.Context(), transport, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // the test has ended
	if got := call(t, s, "acme.counter.add", map[string]any{"k": 2}); got != "2" {
		t.Errorf("add = %s", got)
	}
	// The echo is permitted, and the listener does not expose it.
	for _, name := range tools(t, s) {
		if !strings.HasPrefix(name, "acme.counter.") {
			t.Errorf("%s is listed", name)
		}
	}
	if got := call(t, s, "acme.echo.echo", nil); !strings.HasPrefix(got, "!!unknown tool") {
		t.Errorf("echo = %s", got)
	}
	token := key.token("tools", "ann", "main")
	if a := f.do(t, "POST", "/v1/objects/acme.echo/echo", "[1]", "Authorization", "Bearer "+token); a.status != 200 {
		t.Errorf("expose restricts other protocols: %v", a)
	}
}

// TestNoResourceMetadata: a listener without tools, or without issuers, has no metadata.
func TestNoResourceMetadata(t *testing.T) {
	_, issued := newIssuer(t)
	for name, f := range map[string]*fixture{
		"without tools":   serve(t, "", oidcRules(issued, "tools")),
		"without issuers": serve(t, "mcp = true", rules),
		"without tokens":  serve(t, "mcp = true\nidentify = [\"peer\"]", oidcRules(issued, "tools")),
	} {
		if a := f.do(t, "GET", "/.well-known/oauth-protected-resource", ""); a.status != 404 {
			t.Errorf("%s: %v", name, a)
		}
	}
	f := serve(t, "mcp { origin = \"https://hearth.example.org\" }", oidcRules(issued, "tools"))
	a := f.do(t, "GET", "/.well-known/oauth-protected-resource/mcp", "")
	if !strings.Contains(a.body, `"resource":"https://hearth.example.org/mcp"`) {
		t.Errorf("behind a proxy: %v", a)
	}
}
