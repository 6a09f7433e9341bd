package object

import "strings"

// Principal is a verified identity: a name in the policy, [Anonymous], or "object:<id>" for a calling object.
type Principal string

// Anonymous is the principal of a peer without a proven identity. It has no permissions unless a rule names it.
const Anonymous Principal = "anonymous"

// objectPrefix is the prefix of the principals of objects.
const objectPrefix = "object:"

// Object returns the object of the principal. ok is false if the principal is not an object.
func (p Principal) Object() (ID, bool) {
	id, ok := strings.CutPrefix(string(p), objectPrefix)
	return ID(id), ok
}

// Authentication methods of a peer.
const (
	AuthPeer   = "peer"       // the kernel reports the peer's user
	AuthHMAC   = "hmac"       // a key in the HMAC channel
	AuthCert   = "cert"       // a client certificate in TLS
	AuthLegacy = "pyro4-hmac" // signatures of Pyro4 messages
)

// AuthMethods lists the authentication methods. Do not modify it.
var AuthMethods = []string{AuthPeer, AuthHMAC, AuthCert, AuthLegacy}

// Peer holds the facts that a transport has verified about a peer. The zero value proves nothing.
type Peer struct {
	// Auth is the authentication method, "" for an unidentified peer.
	Auth string
	// UID is the OS user id of the peer. It is valid only if Auth is AuthPeer.
	UID uint32
	// Key is the id of the peer's key. It is valid only if Auth is AuthHMAC.
	Key string
	// Cert is the peer's certificate. It is set only if Auth is AuthCert. Do not modify it.
	Cert *Certificate
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
}
