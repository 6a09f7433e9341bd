package web

import (
	"net/http"
	"slices"

	"github.com/hearthhost/hearth/object"
)

// Paths of the metadata of a resource that OAuth protects, for clients of the Model Context Protocol. The path of the
// resource follows.
//
// Source: RFC 9728, section 3.1.
const (
	wellKnown    = ".well-known"
	resourceName = "oauth-protected-resource"
)

// metadata is the document about a protected resource.
//
// Source: RFC 9728, section 2.
type metadata struct {
	Resource             string   `json:"resource"`
	AuthorizationServers []string `json:"authorization_servers"`
	BearerMethods        []string `json:"bearer_methods_supported"`
	Name                 string   `json:"resource_name"`
}

// protected reports whether the listener describes its tools as a protected resource: they are served to callers with
// tokens of issuers that the policy names.
func (e *exchange) protected() bool {
	return e.l.settings.HTTP.MCP && e.accepts(object.AuthOIDC) && len(e.s.cfg.Snapshot().Policy.Tokens) > 0
}

// serveMetadata answers a request for the metadata of the listener, or of its path for the Model Context Protocol. It
// reports false for another path. The caller is not identified: the document is for clients without a token.
func (e *exchange) serveMetadata(path []string) bool {
	if len(path) < 2 || len(path) > 3 || path[0] != wellKnown || path[1] != resourceName || !e.protected() ||
		len(path) == 3 && path[2] != mcpPath {
		return false
	}
	switch {
	case e.r.Method != http.MethodGet:
		e.methods(http.MethodGet)
		return true
	case e.r.URL.RawQuery != "" || e.r.URL.ForceQuery:
		e.problem(http.StatusBadRequest, errQuery)
		return true
	}
	doc := metadata{Resource: e.origin(), BearerMethods: []string{"header"}, Name: "Hearth"}
	if len(path) == 3 {
		doc.Resource += "/" + mcpPath
	}
	tokens := e.s.cfg.Snapshot().Policy.Tokens
	for i := range tokens {
		if !slices.Contains(doc.AuthorizationServers, tokens[i].Issuer) {
			doc.AuthorizationServers = append(doc.AuthorizationServers, tokens[i].Issuer)
		}
	}
	e.held.Account = e.s.cfg.Shares.Unauthenticated
	defer e.held.Release()
	e.json(doc)
	return true
}

// origin returns the origin under which the client has reached the listener. The header Host has been checked.
func (e *exchange) origin() string {
	switch {
	case e.l.settings.HTTP.Origin != "":
		return e.l.settings.HTTP.Origin
	case e.conn.peer.Channel == "tls":
		return "https://" + e.r.Host
	}
	return "http://" + e.r.Host
}

// resourceParameter returns the parameter of a challenge that names the metadata of the tools, "" for other paths.
//
// Source: RFC 9728, section 5.1.
func (e *exchange) resourceParameter() string {
	if e.r.URL.Path != "/"+mcpPath || !e.protected() {
		return ""
	}
	return `, resource_metadata="` + e.origin() + "/" + wellKnown + "/" + resourceName + "/" + mcpPath + `"`
}
