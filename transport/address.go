package transport

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/object"
)

// maxSocketPath is the longest path of a Unix socket in bytes that all supported systems accept: sun_path has 104 bytes
// on darwin, with its terminating zero.
const maxSocketPath = 103

// address is a parsed Config.Address: either tcp is valid, or unix is not empty.
type address struct {
	tcp  netip.AddrPort
	unix string
}

// parseAddress parses "127.0.0.1:7766", "[::1]:7766" or "unix:path". It rejects host names: their meaning depends on
// another system and may change.
func parseAddress(s string) (address, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		switch {
		case path == "":
			return address{}, errors.New("the path of the socket is missing: write unix:path")
		case path[0] == '@' || strings.IndexByte(path, 0) >= 0:
			return address{}, errors.New(
				"abstract sockets are not supported: any user could use the name; write unix:path")
		case len(path) > maxSocketPath:
			return address{}, fmt.Errorf("the path of the socket has %d bytes, the system takes %d: name a shorter one",
				len(path), maxSocketPath)
		}
		return address{unix: path}, nil
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		return address{}, errors.New("the address must be 127.0.0.1:port, [::1]:port, 0.0.0.0:port or unix:path")
	}
	if ap.Addr().Is4In6() || ap.Addr().Zone() != "" {
		return address{}, errors.New("the address must have no zone, and IPv4 in its usual form")
	}
	return address{tcp: ap}, nil
}

// local reports whether only this machine can reach the address.
func (a address) local() bool { return a.unix != "" || a.tcp.Addr().IsLoopback() }

// check rejects combinations that cannot work or are not secure.
func (cfg *Config) check(a address) error {
	for _, method := range cfg.Identify {
		switch {
		case !slices.Contains(object.ConnectionMethods, method):
			return fmt.Errorf("identify: unknown method %q; the methods are %s", method,
				strings.Join(object.ConnectionMethods, ", "))
		case method == object.AuthPeer && !a.local():
			return errors.New("identify: peer works for users of this machine only; use hmac or cert")
		case method == object.AuthHMAC && cfg.Keys == nil:
			return errors.New("identify: hmac without keys")
		case method == object.AuthCert && cfg.TLS == nil:
			return errors.New("identify: cert without TLS")
		case method == object.AuthLegacy && !a.local() && (cfg.TLS == nil || cfg.Plain):
			return errors.New(
				"identify: pyro4-hmac can be replayed by an eavesdropper; across a network it requires TLS")
		}
	}
	if len(cfg.Identify) == 0 && !a.local() && !cfg.HTTP {
		return errors.New("identify: an address that other machines reach requires an authentication method")
	}
	if !cfg.Plain && cfg.TLS == nil && !slices.Contains(cfg.Identify, object.AuthHMAC) {
		return errors.New("no connections are accepted: enable plain connections, TLS or the HMAC channel")
	}
	return nil
}

func (cfg *Config) accepts(method string) bool { return slices.Contains(cfg.Identify, method) }
