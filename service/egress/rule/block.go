// Package rule has the rules of outbound HTTP: which object may send which request to which host.
//
// A [Block] is one egress block of the policy. [Block.Check] decides about one request, by its method and URL. The
// decision is a pure function: it resolves no names, and package egress checks addresses when it connects.
package rule

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hearthhost/hearth/object"
)

// Block is an egress block of a tenant. It is not modified.
type Block struct {
	Tenant  object.Tenant
	Name    string
	Where   string      // position for messages: "policy.hcl:12"
	Objects []object.ID // objects that may use it, without keys; never empty
	Hosts   []Host      // never empty
	Methods []string    // upper case; never empty
	Paths   []string    // patterns, see MatchPath; never empty

	Plain     bool           // permits http:// URLs besides https://
	Private   []netip.Prefix // permitted private ranges
	Redirects int            // redirects that are followed; 0: they are returned to the script

	Inject []Inject
	Basic  *Basic
	HMAC   *HMAC
	AWS    *AWS
	OAuth  *OAuth
	Cert   *Certificate
	CA     string     // PEM file of the authorities that are trusted instead of the system's; absolute, or ""
	Pins   [][32]byte // SHA-256 of public keys (SPKI), one of which the server's chain must have; nil: any

	Limits Limits
}

// Limits bound the requests of a block. [Limits.WithDefaults] fills in zero fields.
type Limits struct {
	Rate          string        // as in the policy: "20/s"; "": not bounded
	Interval      time.Duration // between two requests at the full rate; 0: not bounded
	Burst         int           // requests at once; at least 1 if Interval is set
	Concurrent    int           // requests at a time; default 16
	RequestBytes  int           // body of a request; default 1 MiB
	ResponseBytes int           // body of a response, before and after decompression; default 8 MiB
	Timeout       time.Duration // of a request as a whole; default 10 s
	HeaderTimeout time.Duration // until the headers of the response; default Timeout
}

// Maxima of limits.
const (
	MaxBodyBytes  = 32 << 20
	MaxTimeout    = 10 * time.Minute
	MaxConcurrent = 1000
	MaxRedirects  = 10
)

// WithDefaults returns l with a default for each zero field.
func (l Limits) WithDefaults() Limits {
	if l.Concurrent == 0 {
		l.Concurrent = 16
	}
	if l.RequestBytes == 0 {
		l.RequestBytes = 1 << 20
	}
	if l.ResponseBytes == 0 {
		l.ResponseBytes = 8 << 20
	}
	if l.Timeout == 0 {
		l.Timeout = 10 * time.Second
	}
	if l.HeaderTimeout == 0 {
		l.HeaderTimeout = l.Timeout
	}
	return l
}

// Template is a text with secrets in it: "Bearer ${secret.stripe}".
type Template []Part

// Part is a literal text, or the name of a secret.
type Part struct{ Text, Secret string }

// String returns the template as the policy has it.
func (t Template) String() string {
	var b strings.Builder
	for _, p := range t {
		if p.Secret != "" {
			b.WriteString("${secret." + p.Secret + "}")
		} else {
			b.WriteString(p.Text)
		}
	}
	return b.String()
}

// Inject sets one header or one parameter of the query. Exactly one of Header and Query is set.
type Inject struct {
	Header, Query string
	Value         Template
}

// Basic is HTTP basic authentication.
type Basic struct{ User, Password Template }

// HMAC signs each request by HMAC-SHA256. The signed text is the parts of Content, joined by Separator.
type HMAC struct {
	Secret    Template
	Header    string   // gets Prefix and the signature
	Prefix    string   // for example "sha256="
	Timestamp string   // header with the seconds since 1970; "": none
	Content   []string // of "timestamp", "method", "path" (with the query), "body"
	Separator string
	Base64    bool // encoding of the signature; false: hexadecimal
}

// AWS signs each request by AWS Signature Version 4.
type AWS struct {
	Region, Service      string
	AccessKey, SecretKey Template
	SessionToken         Template // nil: none
}

// OAuth gets a token by OAuth 2 client credentials, which is sent as "Authorization: Bearer".
type OAuth struct {
	TokenURL               string // https; http only if the block is plain
	ClientID, ClientSecret Template
	Scopes                 []string
}

// Certificate is the client certificate of TLS. The paths are absolute.
type Certificate struct{ Cert, Key string }

// Secrets returns the names of the secrets that the block uses, sorted.
func (b *Block) Secrets() []string {
	var out []string
	for _, t := range b.templates() {
		for _, p := range t {
			if p.Secret != "" {
				out = append(out, p.Secret)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (b *Block) templates() []Template {
	var out []Template
	for _, i := range b.Inject {
		out = append(out, i.Value)
	}
	if b.Basic != nil {
		out = append(out, b.Basic.User, b.Basic.Password)
	}
	if b.HMAC != nil {
		out = append(out, b.HMAC.Secret)
	}
	if b.AWS != nil {
		out = append(out, b.AWS.AccessKey, b.AWS.SecretKey, b.AWS.SessionToken)
	}
	if b.OAuth != nil {
		out = append(out, b.OAuth.ClientID, b.OAuth.ClientSecret)
	}
	return out
}

// Credentials reports whether the block adds anything to requests that identifies the tenant to the server.
func (b *Block) Credentials() bool {
	return b.Cert != nil || b.HMAC != nil || b.AWS != nil || b.OAuth != nil || b.Basic != nil || len(b.Inject) > 0
}

// InjectedHeaders returns the canonical names of the headers that the block sets. Requests cannot set them.
func (b *Block) InjectedHeaders() []string {
	var out []string
	for _, i := range b.Inject {
		if i.Header != "" {
			out = append(out, i.Header)
		}
	}
	if b.Basic != nil || b.OAuth != nil || b.AWS != nil {
		out = append(out, "Authorization")
	}
	if b.HMAC != nil {
		out = append(out, b.HMAC.Header)
		if b.HMAC.Timestamp != "" {
			out = append(out, b.HMAC.Timestamp)
		}
	}
	if b.AWS != nil {
		out = append(out, "X-Amz-Date", "X-Amz-Content-Sha256", "X-Amz-Security-Token")
	}
	return out
}

// Serves reports whether an object may use the block. An instance of a keyed object is its family.
func (b *Block) Serves(id object.ID) bool {
	return id.Tenant() == b.Tenant && slices.Contains(b.Objects, id.Family())
}

// Find returns a tenant's block of a name that serves an object. The error names the block that the policy lacks. It is
// the same whether the block does not exist or does not serve the object.
func Find(blocks []*Block, id object.ID, name string) (*Block, error) {
	for _, b := range blocks {
		if b.Name == name && b.Serves(id) {
			return b, nil
		}
	}
	if !object.ValidName(name) {
		return nil, fmt.Errorf("the name of an egress block has letters, digits, '_' and '-' only")
	}
	return nil, fmt.Errorf("no egress block %q of tenant %q names %s; the policy permits requests by egress %q "+
		"{ objects = [%q], hosts = [\"…\"], methods = [\"GET\"], paths = [\"/…\"] }", name, id.Tenant(), id.Family(),
		name, id.Family())
}

// Check returns the target of a request, or the reason why the block does not permit it. A URL that begins with "/" is
// one of the block's only host.
func (b *Block) Check(method, rawURL string) (Target, error) {
	if !slices.Contains(b.Methods, method) {
		return Target{}, fmt.Errorf("method %.20q is not in methods", method)
	}
	if strings.HasPrefix(rawURL, "/") {
		base, ok := b.base()
		if !ok {
			return Target{}, fmt.Errorf("the URL has no host, and egress %q has not exactly one", b.Name)
		}
		rawURL = base + rawURL
	}
	t, err := ParseURL(rawURL)
	if err != nil {
		return Target{}, err
	}
	return t, b.checkTarget(&t)
}

func (b *Block) checkTarget(t *Target) error {
	if t.Scheme == "http" && !b.Plain {
		return fmt.Errorf("http:// is not encrypted; write https://, or plain = true in the policy")
	}
	if !slices.ContainsFunc(b.Hosts, func(h Host) bool { return h.Match(t) }) {
		return fmt.Errorf("host %q is not in hosts", t.Authority())
	}
	if err := MatchPath(b.Paths, t.Path); err != nil {
		return err
	}
	for _, i := range b.Inject {
		if i.Query != "" && t.hasParameter(i.Query) {
			return fmt.Errorf("the query sets %q, which the policy injects", i.Query)
		}
	}
	return nil
}

// base returns scheme and authority of the block's only host.
func (b *Block) base() (string, bool) {
	if len(b.Hosts) != 1 || b.Hosts[0].Suffix {
		return "", false
	}
	h := b.Hosts[0]
	t := Target{Scheme: "https", Host: h.Name, Port: 443}
	if h.Port != 0 {
		t.Port = h.Port
	}
	if b.Plain {
		t.Scheme = "http"
		if h.Port == 0 {
			t.Port = 80
		}
	}
	return t.Scheme + "://" + t.Authority(), true
}
