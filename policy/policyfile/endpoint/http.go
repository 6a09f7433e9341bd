package endpoint

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/problem"
	"github.com/hearthhost/hearth/policy/syntax"
)

// Attributes of a listener block about HTTP. All but protocol require protocol = "http".
var httpAttributes = []string{"protocol", "hosts", "cors", "mcp", "pyro_paths"}

// protocols are the values of protocol.
var protocols = []string{"pyro", "http"}

// readHTTP reads the HTTP settings of a listener, nil for a listener of Pyro clients.
func readHTTP(r *syntax.Reader, a syntax.Attributes, b *hclsyntax.Block, local bool, l *policy.Listener) *policy.HTTP {
	protocol, at, ok := r.Text(a, "protocol")
	if ok && !slices.Contains(protocols, protocol) {
		r.Problems.Add(at, problem.OneOf(protocol, protocols), "protocol: unknown protocol %q", protocol)
	}
	if protocol != "http" {
		for _, name := range httpAttributes[1:] {
			if attr := a[name]; attr != nil && (!ok || protocol == "pyro") {
				r.Problems.Add(attr.NameRange, `add protocol = "http"`, "%s is a setting of protocol \"http\"", name)
			}
		}
		for _, inner := range b.Body.Blocks {
			if inner.Type == "mcp" && (!ok || protocol == "pyro") {
				r.Problems.Add(inner.TypeRange, `add protocol = "http"`, "mcp is a setting of protocol \"http\"")
			}
		}
		return nil
	}
	out := &policy.HTTP{}
	if list, ok := r.Texts(a, "hosts", "omit it for the names of this machine"); ok {
		for _, e := range list {
			host, hint := parseHost(e.Text)
			if hint != "" {
				r.Problems.Add(e.At, hint, "hosts: %q is not the value of a header Host", e.Text)
			}
			out.Hosts = append(out.Hosts, host)
		}
	}
	if list, ok := r.Texts(a, "cors", "omit it: no page of another origin may make requests"); ok {
		for _, e := range list {
			if hint := checkOrigin(e.Text); hint != "" {
				r.Problems.Add(e.At, hint, "cors: %q is not an origin", e.Text)
			}
			out.CORS = append(out.CORS, e.Text)
		}
	}
	out.MCP, _ = r.Flag(a, "mcp")
	readMCP(r, a, b, out)
	out.PyroPaths, _ = r.Flag(a, "pyro_paths")
	if local {
		return out
	}
	switch {
	case l.TLS == nil:
		r.Problems.Add(b.TypeRange, "add a tls block, or listen on 127.0.0.1 behind a proxy",
			"a listener with protocol \"http\" for other machines needs TLS")
	case l.Plain:
		r.Problems.Add(b.TypeRange, "remove plain",
			"a listener with protocol \"http\" for other machines accepts TLS only")
	}
	if len(out.Hosts) == 0 && a["hosts"] == nil {
		r.Problems.Add(b.TypeRange, `write hosts = ["hearth.example.org"], the names under which clients reach it`,
			"a listener with protocol \"http\" for other machines must set hosts")
	}
	return out
}

// readMCP reads the mcp block of a listener.
func readMCP(r *syntax.Reader, a syntax.Attributes, b *hclsyntax.Block, out *policy.HTTP) {
	found := a["mcp"] != nil
	for _, inner := range b.Body.Blocks {
		if inner.Type != "mcp" {
			continue
		}
		if found {
			r.Problems.Add(inner.TypeRange, "", "a listener has mcp = true, or one mcp block")
		}
		found, out.MCP = true, true
		settings := r.Block(inner, "expose", "origin")
		r.Unnamed(inner)
		list, _ := r.Texts(settings, "expose", "omit it for all objects that a caller may call")
		for _, e := range list {
			p, err := policy.ParsePattern(e.Text)
			switch {
			case err != nil:
				r.Problems.Add(e.At, err.Error(), "expose: %q is not a pattern of object ids", e.Text)
			case strings.Contains(e.Text, ":"):
				r.Problems.Add(e.At, "write the id without a key", "expose: %q has a key: tools are of all keys",
					e.Text)
			}
			out.Expose = append(out.Expose, p)
		}
		if s, at, ok := r.Text(settings, "origin"); ok {
			out.Origin = s
			if hint := checkOrigin(s); hint != "" || !strings.HasPrefix(s, "https://") {
				r.Problems.Add(at, `write the origin that clients use: "https://hearth.example.org"`,
					"origin: %q is not an https origin", s)
			}
		}
	}
}

// parseHost returns a host in the form in which headers are compared. hint is "" for a valid one.
func parseHost(s string) (host, hint string) {
	const form = "write a name or an address, with or without a port: hearth.example.org, 192.0.2.1:8443, [2001:db8::1]"
	name, port, hasPort := s, "", false
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		name, port, hasPort = s[:i], s[i+1:], true
	}
	if hasPort {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
			return s, form
		}
	}
	if inner, ok := strings.CutPrefix(name, "["); ok {
		addr, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		if err != nil || !addr.Is6() || addr.Zone() != "" || !strings.HasSuffix(inner, "]") {
			return s, form
		}
		return strings.ToLower(s), ""
	}
	if name == "" || len(name) > 253 {
		return s, form
	}
	for _, label := range strings.Split(name, ".") {
		if label == "" || label[0] == '-' || strings.Trim(label, labelBytes) != "" {
			return s, form
		}
	}
	return strings.ToLower(s), ""
}

// labelBytes are the bytes of a label of a host name.
const labelBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// checkOrigin returns a hint for a text that is not the origin of pages, "" for one that is.
func checkOrigin(s string) (hint string) {
	const form = `write scheme, name and port as browsers send them: "https://app.example.org"`
	u, err := url.Parse(s)
	switch {
	case s == "*":
		return `list the origins: "*" would let every page use this listener`
	case err != nil, u.Scheme != "https" && u.Scheme != "http", u.Host == "", u.Scheme+"://"+u.Host != s:
		return form
	}
	if _, hint := parseHost(u.Host); hint != "" || strings.ToLower(u.Host) != u.Host {
		return form
	}
	return ""
}
