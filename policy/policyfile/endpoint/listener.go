// Package endpoint reads the blocks of a policy file that have network addresses: listener, admin and trace.
//
// [Listener] rejects authentication methods that are impossible or insecure on its address. Only methods that resist an
// eavesdropper are valid on an address that other machines reach. [Admin] and [Trace] accept addresses of this
// machine only: metrics are served without authentication, and spans contain names of callers and objects.
//
// The package does not open sockets, and does not read certificates.
package endpoint

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/problem"
	"github.com/hearthhost/hearth/policy/syntax"
)

// Listener reads a listener block. others are the listeners that are read before.
func Listener(r *syntax.Reader, name string, b *hclsyntax.Block, others []policy.Listener) policy.Listener {
	a := r.BlockWith(b, []string{"tls", "mcp"}, append([]string{"address", "identify", "plain"}, httpAttributes...)...)
	r.Require(b, a, "address")
	l := policy.Listener{Name: name, Where: r.Where(b.TypeRange)}
	local := true
	if s, at, ok := r.Text(a, "address"); ok {
		addr, loopback, err := parseAddress(r, s)
		if err != nil {
			r.Problems.Add(at, err.Error(), "address %q is not valid", s)
		}
		l.Address, local = addr, loopback || err != nil
		for _, other := range others {
			if err == nil && addr == other.Address && !strings.HasSuffix(addr, ":0") {
				r.Problems.Add(at, "", "listener %q already has the address %q", other.Name, s)
			}
		}
	}
	for _, inner := range b.Body.Blocks {
		if inner.Type == "tls" {
			if l.TLS != nil {
				r.Problems.Add(inner.TypeRange, "", "a listener must have at most one tls block")
			}
			l.TLS = readTLS(r, inner)
		}
	}
	l.Plain = local
	if plain, ok := r.Flag(a, "plain"); ok {
		l.Plain = plain
	}
	l.HTTP = readHTTP(r, a, b, local, &l)
	l.Identify = authMethods(r, a, b, local, &l)
	return l
}

// authMethods reads the authentication methods of a listener, and rejects those that are impossible or insecure on it.
func authMethods(r *syntax.Reader, a syntax.Attributes, b *hclsyntax.Block, local bool,
	l *policy.Listener) []string {
	methods, usual, remote := object.ConnectionMethods, []string{object.AuthPeer}, `"cert" or "hmac"`
	if l.HTTP != nil {
		methods, remote = object.HTTPMethods, `"cert" or "bearer"`
		usual = []string{object.AuthPeer, object.AuthBearer, object.AuthOIDC}
	}
	list, ok := r.Texts(a, "identify", "omit it for "+strings.Join(usual, ", "))
	if !ok {
		if a["identify"] == nil && !local {
			r.Problems.Add(b.TypeRange, "write identify = ["+strings.Replace(remote, " or ", "] or [", 1)+"]",
				"a listener for other machines must set identify")
		}
		return usual
	}
	var out []string
	for _, e := range list {
		switch {
		case l.HTTP != nil && (e.Text == object.AuthHMAC || e.Text == object.AuthLegacy):
			r.Problems.Add(e.At, "", "identify: %q is a method of Pyro clients, and the protocol is \"http\"", e.Text)
		case l.HTTP == nil && slices.Contains(object.HTTPMethods[2:], e.Text):
			r.Problems.Add(e.At, `add protocol = "http"`, "identify: %q is a method of HTTP clients", e.Text)
		case !slices.Contains(methods, e.Text):
			r.Problems.Add(e.At, problem.OneOf(e.Text, methods), "identify: unknown authentication method %q", e.Text)
		case e.Text == object.AuthPeer && !local:
			r.Problems.Add(e.At, "write "+remote, `"peer" only identifies users of this machine`)
		case e.Text == object.AuthCert && (l.TLS == nil || len(l.TLS.ClientCA) == 0):
			r.Problems.Add(e.At, "add a tls block with client_ca",
				`"cert" needs the authority of the client certificates`)
		case e.Text == object.AuthLegacy && !local && (l.TLS == nil || l.Plain):
			r.Problems.Add(e.At, "add a tls block, and remove plain",
				`"pyro4-hmac" can be replayed by an eavesdropper: across a network it needs TLS`)
		}
		out = append(out, e.Text)
	}
	if !l.Plain && l.TLS == nil && !slices.Contains(out, object.AuthHMAC) {
		r.Problems.Add(b.TypeRange, `add a tls block, or "hmac" to identify`,
			"listener accepts no connections: neither plain nor TLS nor the HMAC channel")
	}
	return out
}

// readTLS reads a tls block.
func readTLS(r *syntax.Reader, b *hclsyntax.Block) *policy.TLS {
	a := r.Block(b, "cert", "key", "client_ca", "revoked", "min_version")
	r.Require(b, a, "cert", "key")
	r.Unnamed(b)
	t := &policy.TLS{MinVersion: "1.3"}
	t.Cert, t.Key = r.FilePath(a, "cert"), r.FilePath(a, "key")
	t.ClientCA, t.Revoked = r.FilePaths(a, "client_ca"), r.FilePaths(a, "revoked")
	if len(t.Revoked) > 0 && len(t.ClientCA) == 0 {
		r.Problems.Add(b.TypeRange, "add client_ca, or remove revoked",
			"revoked needs client certificates")
	}
	if s, at, ok := r.Text(a, "min_version"); ok {
		if t.MinVersion = s; s != "1.2" && s != "1.3" {
			r.Problems.Add(at, `write "1.3", the default, or "1.2"`, "min_version: %q is not a TLS version", s)
		}
	}
	return t
}

// parseAddress parses a listener's address, and reports whether only this machine reaches it. The error is a hint.
func parseAddress(r *syntax.Reader, s string) (addr string, local bool, err error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if path == "" || path[0] == '@' || strings.IndexByte(path, 0) >= 0 {
			return "", true, errors.New("write the path of the socket: unix:state/hearth.sock")
		}
		return "unix:" + r.Path(path), true, nil
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil || ap.Addr().Is4In6() || ap.Addr().Zone() != "" {
		return "", true, errors.New("write 127.0.0.1:port, [::1]:port, 0.0.0.0:port or unix:path; host names are " +
			"not resolved")
	}
	return ap.String(), ap.Addr().IsLoopback(), nil
}
