package object

import "strings"

// Principal is a verified identity: a name that the policy declares, [Anonymous], or
// "object:<id>" for an object that calls another.
type Principal string

// Anonymous is the principal of a peer whose identity could not be proven. It may do
// nothing unless a rule names it.
const Anonymous Principal = "anonymous"

// objectPrefix begins the principals of objects.
const objectPrefix = "object:"

// Object returns the object that the principal stands for, if it is an object's.
func (p Principal) Object() (ID, bool) {
	id, ok := strings.CutPrefix(string(p), objectPrefix)
	return ID(id), ok
}

// Authentication methods of a peer.
const (
	AuthPeer   = "peer"       // the kernel knows the other end's user
	AuthHMAC   = "hmac"       // a key, in the HMAC channel
	AuthCert   = "cert"       // a client certificate, in TLS
	AuthLegacy = "pyro4-hmac" // the signatures of Pyro4's messages
)

// AuthMethods lists them. Do not modify it.
var AuthMethods = []string{AuthPeer, AuthHMAC, AuthCert, AuthLegacy}

// Peer is what a transport has proven about the other end of a connection. The zero
// value proves nothing.
type Peer struct {
	// Auth is the authentication method, "" for an unidentified peer.
	Auth string
	// UID is the OS user id of the peer; it counts only if Auth is AuthPeer.
	UID uint32
	// Key is the id of the key that the peer has proven to have; it counts only if Auth is
	// AuthHMAC.
	Key string
	// Cert is the peer's certificate; it is set if Auth is AuthCert, and immutable.
	Cert *Certificate
	// Channel is "unix", "tcp", "tls", "hmac" or "object" (a call from one object to
	// another).
	Channel string
	// Addr is the peer's address as text, for logs and for hearth.caller().
	Addr string
}

// Certificate is what a verified client certificate says.
type Certificate struct {
	CA         string   // path of the file of authorities under which it was verified
	CommonName string   // of the subject; may be empty
	DNS        []string // names, in lower case
	URIs       []string
	Serial     string // lower-case hexadecimal without leading zeros
	SHA256     string // fingerprint of the certificate, lower-case hexadecimal
}

// Caller is a principal plus facts of its connection.
type Caller struct {
	Principal Principal
	Tenant    Tenant // of the calling object; "" for callers from outside
	Peer      Peer
}

// Protocol is the Pyro protocol version: which numbers and class names a peer uses.
type Protocol uint16

// The protocols that the host speaks.
const (
	Pyro4 Protocol = 48
	Pyro5 Protocol = 502
)

// Module returns the Python package whose class names the peer knows: "Pyro4" or "Pyro5".
func (p Protocol) Module() string {
	if p == Pyro4 {
		return "Pyro4"
	}
	return "Pyro5"
}
