package wire

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/hearthhost/hearth/object"
)

// DefaultNameServerPort is the port of PYRONAME and PYROMETA URIs that name none.
const DefaultNameServerPort = 9090

// URI says where an object is (scheme PYRO), or under which name or tags a name server
// knows it (PYRONAME, PYROMETA).
type URI struct {
	Scheme string   // "PYRO", "PYRONAME" or "PYROMETA"
	Object string   // object id, or name; "" for PYROMETA
	Tags   []string // of PYROMETA, sorted, none twice
	Sock   string   // path of a Unix socket, or "" for Host and Port
	Host   string   // IPv6 addresses without brackets; "" if no location is given
	Port   int      // 0…65535
}

// ParseURI reads the plain forms of Pyro URIs:
//
//	PYRO:<object>@<location>
//	PYRONAME:<name>[@<location>]
//	PYROMETA:<tag>[,<tag>…][@<location>]
//
// with a location of host:port, [ipv6]:port or ./u:<path>; the port may be left out but
// for PYRO. The scheme may be in any case. Spaces and signs in ports, text after a port
// and empty tags or hosts, which Python peers let pass, are refused. Errors are CodeInvalid.
//
// Source: doc/wire.md "URIs"; vectors in testdata/uris.jsonl.
func ParseURI(s string) (URI, error) {
	scheme, rest, ok := strings.Cut(s, ":")
	u := URI{Scheme: strings.ToUpper(scheme)}
	if !ok || u.Scheme != "PYRO" && u.Scheme != "PYRONAME" && u.Scheme != "PYROMETA" {
		return URI{}, badURI("invalid uri (protocol)")
	}
	name, location, located := strings.Cut(rest, "@")
	if name == "" || strings.ContainsFunc(s, unicode.IsControl) || strings.ContainsFunc(name, unicode.IsSpace) {
		return URI{}, badURI("invalid uri")
	}
	if located && location == "" || !located && u.Scheme == "PYRO" {
		return URI{}, badURI("invalid uri")
	}
	u.Object = name
	if u.Scheme == "PYROMETA" {
		u.Object, u.Tags = "", strings.Split(name, ",")
		slices.Sort(u.Tags)
		u.Tags = slices.Compact(u.Tags)
		if u.Tags[0] == "" {
			return URI{}, badURI("invalid uri (empty tag)")
		}
	}
	if !located {
		return u, nil
	}
	if err := u.locate(location); err != nil {
		return URI{}, err
	}
	return u, nil
}

func (u *URI) locate(s string) error {
	if path, ok := strings.CutPrefix(s, "./u:"); ok {
		if path == "" || strings.Contains(path, ":") {
			return badURI("invalid uri (location)")
		}
		u.Sock = path
		return nil
	}
	var port string
	var hasPort bool
	if inside, ok := strings.CutPrefix(s, "["); ok {
		host, after, closed := strings.Cut(inside, "]")
		if !closed || !numericIPv6(host) {
			return badURI("invalid ipv6 address: the part between brackets must be a numeric ipv6 address")
		}
		if port, hasPort = strings.CutPrefix(after, ":"); !hasPort && after != "" {
			return badURI("invalid uri (location)")
		}
		u.Host = host
	} else {
		u.Host, port, hasPort = strings.Cut(s, ":")
		if u.Host == "" || strings.ContainsAny(u.Host, "/@[]") || strings.ContainsFunc(u.Host, unicode.IsSpace) {
			return badURI("invalid uri (location)")
		}
	}
	if !hasPort || port == "" {
		if u.Scheme == "PYRO" {
			return badURI("invalid port in uri, port=None")
		}
		u.Port = DefaultNameServerPort
		return nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || port[0] == '+' {
		return badURI("invalid port in uri")
	}
	u.Port = int(n)
	return nil
}

// numericIPv6 reports whether s is an IPv6 address with, if any, a numeric zone.
func numericIPv6(s string) bool {
	for i := range len(s) {
		if !strings.ContainsRune("0123456789abcdef:%", rune(s[i])) {
			return false
		}
	}
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is6()
}

// String returns the URI as text; ParseURI of it gives u again.
func (u URI) String() string {
	name := u.Object
	if u.Scheme == "PYROMETA" {
		name = strings.Join(u.Tags, ",")
	}
	text := u.Scheme + ":" + name
	switch {
	case u.Sock != "":
		return text + "@./u:" + u.Sock
	case u.Host == "":
		return text
	case strings.Contains(u.Host, ":"):
		return text + "@[" + u.Host + "]:" + strconv.Itoa(u.Port)
	}
	return text + "@" + u.Host + ":" + strconv.Itoa(u.Port)
}

func badURI(msg string) error { return object.Errorf(object.CodeInvalid, "%s", msg) }
