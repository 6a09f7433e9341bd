package policy

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/object"
)

// Listener is one listener block.
type Listener struct {
	Name     string
	Address  string   // "127.0.0.1:7766", "[::1]:7766", "0.0.0.0:7767" or "unix:path", the path absolute
	Identify []string // never empty; of object.AuthPeer and its kin
	Plain    bool     // connections that are neither TLS nor the HMAC channel are taken
	TLS      *TLS     // nil: none
	Where    string   // for messages: "policy.hcl:12"
}

// TLS is a listener's tls block. All paths are absolute.
type TLS struct {
	Cert, Key  string   // PEM files: the host's chain and its private key
	ClientCA   []string // PEM files: who issues clients' certificates; nil: nobody
	Revoked    []string // files of serial numbers that are refused
	MinVersion string   // "1.3" or "1.2"
}

// listener reads a listener block.
func (r *reader) listener(name string, b *hclsyntax.Block) {
	a := r.blockWith(b, []string{"tls"}, "address", "identify", "plain")
	r.require(b, a, "address")
	l := Listener{Name: name, Where: r.where(b.TypeRange)}
	local := true
	if s, at, ok := r.text(a, "address"); ok {
		addr, loopback, err := r.address(s)
		if err != nil {
			r.problems.Add(at, err.Error(), "address %q cannot be listened on", s)
		}
		l.Address, local = addr, loopback || err != nil
		for _, other := range r.p.Listeners {
			if err == nil && addr == other.Address && !strings.HasSuffix(addr, ":0") {
				r.problems.Add(at, "", "listener %q has the address %q already", other.Name, s)
			}
		}
	}
	for _, inner := range b.Body.Blocks {
		if inner.Type == "tls" {
			if l.TLS != nil {
				r.problems.Add(inner.TypeRange, "", "a listener has one tls block")
			}
			l.TLS = r.tls(inner)
		}
	}
	l.Plain = local
	if plain, ok := r.flag(a, "plain"); ok {
		l.Plain = plain
	}
	l.Identify = r.ways(a, b, local, &l)
	r.p.Listeners = append(r.p.Listeners, l)
}

// ways reads how a listener identifies its peers, and refuses what cannot be or would
// not hold.
func (r *reader) ways(a attributes, b *hclsyntax.Block, local bool, l *Listener) []string {
	list, ok := r.texts(a, "identify", "leave it out for "+object.AuthPeer)
	if !ok {
		if a["identify"] == nil && !local {
			r.problems.Add(b.TypeRange, `write identify = ["cert"] or ["hmac"]`, "a listener that other machines reach says how it identifies them")
		}
		return []string{object.AuthPeer}
	}
	var out []string
	for _, e := range list {
		switch {
		case !slices.Contains(object.AuthMethods, e.text):
			r.problems.Add(e.at, OneOf(e.text, object.AuthMethods), "there is no way of identification %q", e.text)
		case e.text == object.AuthPeer && !local:
			r.problems.Add(e.at, `"cert" and "hmac" do`, `"peer" identifies users of this machine only`)
		case e.text == object.AuthCert && (l.TLS == nil || len(l.TLS.ClientCA) == 0):
			r.problems.Add(e.at, "add a tls block with client_ca", `"cert" needs to know who issues the clients' certificates`)
		case e.text == object.AuthLegacy && !local && (l.TLS == nil || l.Plain):
			r.problems.Add(e.at, "add a tls block, and leave plain out", `"pyro4-hmac" can be repeated by whoever sees it: across a network it needs TLS`)
		}
		out = append(out, e.text)
	}
	if !l.Plain && l.TLS == nil && !slices.Contains(out, object.AuthHMAC) {
		r.problems.Add(b.TypeRange, `add a tls block, or "hmac" to identify`, "nobody could speak to this listener: it takes neither plain connections nor TLS nor the HMAC channel")
	}
	return out
}

// tls reads a tls block.
func (r *reader) tls(b *hclsyntax.Block) *TLS {
	a := r.block(b, "cert", "key", "client_ca", "revoked", "min_version")
	r.require(b, a, "cert", "key")
	r.unnamed(b)
	t := &TLS{MinVersion: "1.3"}
	t.Cert, t.Key = r.filePath(a, "cert"), r.filePath(a, "key")
	t.ClientCA, t.Revoked = r.filePaths(a, "client_ca"), r.filePaths(a, "revoked")
	if len(t.Revoked) > 0 && len(t.ClientCA) == 0 {
		r.problems.Add(b.TypeRange, "add client_ca, or leave revoked out", "there are no clients' certificates that could be revoked")
	}
	if s, at, ok := r.text(a, "min_version"); ok {
		if t.MinVersion = s; s != "1.2" && s != "1.3" {
			r.problems.Add(at, `there are "1.3", the default, and "1.2"`, "min_version %q", s)
		}
	}
	for _, path := range t.ClientCA {
		if !slices.Contains(r.authorities, path) {
			r.authorities = append(r.authorities, path)
		}
	}
	return t
}

// address checks the form of a listener's address, and tells whether only this machine
// reaches it. The error is a hint.
func (r *reader) address(s string) (addr string, local bool, err error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if path == "" || path[0] == '@' || strings.IndexByte(path, 0) >= 0 {
			return "", true, errors.New("name the socket's path: unix:state/hearth.sock")
		}
		return "unix:" + r.path(path), true, nil
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil || ap.Addr().Is4In6() || ap.Addr().Zone() != "" {
		return "", true, errors.New("write 127.0.0.1:port, [::1]:port, 0.0.0.0:port or unix:path; names of hosts are not looked up")
	}
	return ap.String(), ap.Addr().IsLoopback(), nil
}
