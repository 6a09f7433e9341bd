package policy

import (
	"path/filepath"
	"slices"

	"github.com/hearthhost/hearth/object"
)

// Listener is one listener block.
type Listener struct {
	Name     string
	Address  string   // "127.0.0.1:7766", "[::1]:7766", "0.0.0.0:7767" or "unix:path"; the path is absolute
	Identify []string // authentication methods, such as object.AuthPeer; never empty
	Plain    bool     // accepts connections without TLS and without the HMAC channel
	TLS      *TLS     // nil: no TLS
	HTTP     *HTTP    // settings of protocol "http"; nil: the listener is for Pyro clients
	Where    string   // position for messages: "policy.hcl:12"
}

// ConnectionMethods returns the authentication methods of connections. The others are those of requests.
func (l *Listener) ConnectionMethods() []string {
	var out []string
	for _, method := range l.Identify {
		if slices.Contains(object.ConnectionMethods, method) {
			out = append(out, method)
		}
	}
	return out
}

// HTTP has the settings of a listener with protocol = "http".
type HTTP struct {
	Hosts []string // accepted hosts in lower case, with or without a port; nil: this machine's names
	CORS  []string // origins whose pages may make requests, "https://app.example.org"; nil: none
	MCP   bool     // serves the Model Context Protocol at /mcp

	// Expose has the objects whose members are tools of the Model Context Protocol; nil: all.
	Expose []Pattern
	// Origin is the origin under which clients reach the listener through a proxy, "https://hearth.example.org";
	// "": the header Host is that of the listener itself.
	Origin string
	// PyroPaths serves the paths of Pyro's own HTTP gateway, below /pyro/.
	PyroPaths bool
}

// Exposes reports whether the members of an object are tools of the Model Context Protocol. It permits no call.
func (h *HTTP) Exposes(id object.ID) bool {
	return h.MCP && (h.Expose == nil || covers(h.Expose, id.Family()))
}

// TLS is a listener's tls block. All paths are absolute.
type TLS struct {
	Cert, Key  string   // PEM files: the host's certificate chain and its private key
	ClientCA   []string // PEM files of the authorities of client certificates; nil: none accepted
	Revoked    []string // files of revoked serial numbers
	MinVersion string   // "1.3" or "1.2"
}

// KeyFile is a file of keys that prove a principal.
type KeyFile struct {
	Principal object.Principal
	Path      string // absolute
	Where     string // position for messages: "policy.hcl:12"
}

// Secret is a secret block of a tenant: a value that some of its objects can read, that egress blocks add to requests,
// or that proves the requests of webhooks.
type Secret struct {
	Tenant   object.Tenant
	Name     string
	Path     string      // absolute
	Identity string      // absolute path of the age identities that decrypt the file; "": not encrypted
	Objects  []object.ID // objects that can read it, in the order of the file; nil: only the host uses it
	Where    string      // position of the file name, for messages: "policy.hcl:12:5"
}

// Plugin is a plugin block: permission to start an executable.
type Plugin struct {
	ID       object.ID   // the executable is <plugins>/<tenant>/<name>
	SHA256   string      // hash of the executable in lower-case hexadecimal; "": not pinned
	Unpinned bool        // any content may start
	Objects  []object.ID // served objects: ID itself, or names below it

	Unconfined bool     // runs without isolation; the following fields are then zero
	Runtime    []string // system files and folders that it may read and execute; absolute
	Files      []string // files and folders that it may read; absolute
	TmpBytes   int64    // size of its private /tmp; 0: no /tmp
	Fork       bool     // may create processes
	Where      string   // position for messages: "policy.hcl:12"
}

// Enroll is the enroll block: clients with a token receive a key or a certificate.
type Enroll struct {
	CA string // absolute path of the folder of the issuing authority; "": only keys are issued
}

// Audit is the audit block.
type Audit struct {
	Off     bool
	Path    string // absolute
	Permits uint64 // one of this number of permitted calls is recorded; 1: all, 0: none
	Drop    bool   // on a write error calls proceed and lost records are counted; false: calls are denied
	Rotate  int64  // size in bytes at which a new file starts
	Keep    int    // number of old files that are kept; 0: all
}

// DefaultAudit returns the settings of a file without an audit block.
func DefaultAudit(state string) Audit {
	return Audit{Path: filepath.Join(state, "audit.jsonl"), Permits: 1, Rotate: 64 << 20, Keep: 16}
}

// Admin is the admin block. It adds a listener for metrics to the admin socket.
type Admin struct {
	// Address is a loopback address, "127.0.0.1:9766", where every user of this machine may read the metrics and
	// nothing else. "": no listener.
	Address string
	Where   string // position of the address, for messages: "policy.hcl:12"
}

// Trace is the trace block: the receiver of the spans of calls.
type Trace struct {
	Endpoint string // an OTLP/HTTP collector on this machine, "http://127.0.0.1:4318"; "": no traces
	Traces   uint64 // one of this number of traces is sent, chosen by correlation id; 1: all
}

// TestResult is the result of a test block.
type TestResult struct {
	Name      string           `json:"name"`
	Where     string           `json:"where"` // "policy.hcl:40"
	Principal object.Principal `json:"principal"`
	Call      string           `json:"call"` // method of an object, or a request: "GET https://example.com/"
	Want      string           `json:"want"` // permit or deny
	Got       string           `json:"got"`
	Reason    string           `json:"reason"`
}

// Passed reports whether the decision was the expected one.
func (t *TestResult) Passed() bool { return t.Got == t.Want }
