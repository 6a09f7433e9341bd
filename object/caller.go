package object

import (
	"strings"
	"time"
)

// Principal is a verified identity: a name in the policy, [Anonymous], or "object:<id>" for a calling object.
type Principal string

// Anonymous is the principal of a peer without a proven identity. It has no permissions unless a rule names it.
const Anonymous Principal = "anonymous"

// Prefixes of the principals of objects and of webhooks.
const (
	objectPrefix  = "object:"
	webhookPrefix = "webhook:"
)

// Object returns the object of the principal. ok is false if the principal is not an object.
func (p Principal) Object() (ID, bool) {
	id, ok := strings.CutPrefix(string(p), objectPrefix)
	return ID(id), ok
}

// Webhook returns the principal of the webhook with a name.
func Webhook(name string) Principal { return Principal(webhookPrefix + name) }

// Webhook returns the name of the webhook of the principal. ok is false if the principal is not a webhook.
func (p Principal) Webhook() (name string, ok bool) {
	return strings.CutPrefix(string(p), webhookPrefix)
}

// Authentication methods of a peer. The first four authenticate a connection, the others a request.
const (
	AuthPeer    = "peer"       // the kernel reports the peer's user
	AuthHMAC    = "hmac"       // a key in the HMAC channel
	AuthCert    = "cert"       // a client certificate in TLS
	AuthLegacy  = "pyro4-hmac" // signatures of Pyro4 messages
	AuthBearer  = "bearer"     // a bearer key in an HTTP request
	AuthOIDC    = "oidc"       // a token of an OpenID Connect issuer in an HTTP request
	AuthWebhook = "webhook"    // the signature of a webhook's request
)

// AuthMethods lists the authentication methods, ConnectionMethods those of a connection, and HTTPMethods those of a
// listener for HTTP. Do not modify them.
var (
	AuthMethods = []string{AuthPeer, AuthHMAC, AuthCert, AuthLegacy, AuthBearer, AuthOIDC, AuthWebhook}

	ConnectionMethods = AuthMethods[:4:4]
	HTTPMethods       = []string{AuthPeer, AuthCert, AuthBearer, AuthOIDC}
)

// Gateways in which calls arrive.
const (
	GatewayPyro    = "pyro"    // Pyro messages
	GatewayHTTP    = "http"    // HTTP and JSON
	GatewayMCP     = "mcp"     // Model Context Protocol
	GatewayWebhook = "webhook" // signed requests of other services
	GatewayObject  = "object"  // calls between objects
)

// Gateways lists the gateways. Do not modify it.
var Gateways = []string{GatewayPyro, GatewayHTTP, GatewayMCP, GatewayWebhook, GatewayObject}

// Peer holds the facts that a transport has verified about a peer. The zero value proves nothing.
type Peer struct {
	// Auth is the authentication method, "" for an unidentified peer.
	Auth string
	// UID is the OS user id of the peer. It is valid only if Auth is AuthPeer.
	UID uint32
	// Key is the id of the peer's key if Auth is AuthHMAC or AuthBearer, and the name of the webhook if it is
	// AuthWebhook.
	Key string
	// Cert is the peer's certificate. It is set only if Auth is AuthCert. Do not modify it.
	Cert *Certificate
	// Claims are the claims of the peer's token. It is set only if Auth is AuthOIDC. Do not modify it.
	Claims *Claims
	// Gateway is one of Gateways, "" if it is not known.
	Gateway string
	// Channel is "unix", "tcp", "tls", "hmac" or "object" (a call between objects).
	Channel string
	// Addr is the peer's address as text, for logs and for hearth.caller().
	Addr string
	// Endpoint is where the peer connected; nil for an object. It does not change.
	Endpoint *Endpoint
}

// Endpoint is where a peer connected to the host.
type Endpoint struct {
	Listener string // its name in the policy
	Local    string // the address that the peer used: "host:port" or "unix:path"
}

// Certificate holds the fields of a verified client certificate.
type Certificate struct {
	CA         string   // path of the CA file that verified it
	CommonName string   // of the subject; may be empty
	DNS        []string // names, in lower case
	URIs       []string
	Serial     string // lower-case hexadecimal without leading zeros
	SHA256     string // fingerprint of the certificate, lower-case hexadecimal
}

// Caller is a principal with the attributes of its connection.
type Caller struct {
	Principal Principal
	Tenant    Tenant // tenant of a calling object; "" for clients
	Peer      Peer
	// Handshake is the value that the client sent when it connected, nil for "hello" and for a calling object.
	Handshake *Handshake
}

// ThisHost is the location of the host in the URIs of proxies that stay inside: in values between objects, and in
// stored values. Clients get the address that they used instead.
const ThisHost = "./u:hearth"

// Location returns the address that the peer used in the form of a Pyro URI: "host:port" or "./u:path". It is "" for
// nil.
func (e *Endpoint) Location() string {
	if e == nil {
		return ""
	}
	if path, ok := strings.CutPrefix(e.Local, "unix:"); ok {
		return "./u:" + path
	}
	return e.Local
}

// Claims holds the verified claims of a token.
type Claims struct {
	Issuer  string // URL of the issuer
	Expires time.Time
	// Values has the claims that are a text or a list of texts, by name. Numbers and booleans are texts: "7", "true".
	Values map[string]Claim
}

// Claim is the value of a claim: a text, or a list of texts if List is not nil.
type Claim struct {
	Text string
	List []string
}

// All returns the texts of the claim: the list, or the one text.
func (c Claim) All() []string {
	if c.List != nil {
		return c.List
	}
	return []string{c.Text}
}
