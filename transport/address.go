package transport

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/object"
)

// maxSocketPath is the longest path of a Unix socket, in bytes, that every system which
// the host runs on takes: sun_path of 104 bytes (darwin) with its terminating zero.
const maxSocketPath = 103

// address is a parsed Config.Address: either tcp is valid, or unix is not empty.
type address struct {
	tcp  netip.AddrPort
	unix string
}

// parseAddress reads "127.0.0.1:7766", "[::1]:7766" or "unix:path". Names of hosts are
// refused: what they mean is decided elsewhere and may change.
func parseAddress(s string) (address, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		switch {
		case path == "":
			return address{}, errors.New("the path of the socket is missing: want unix:path")
		case path[0] == '@' || strings.IndexByte(path, 0) >= 0:
			return address{}, errors.New("abstract sockets are not supported: any user could take the name; want unix:path")
		case len(path) > maxSocketPath:
			return address{}, fmt.Errorf("the path of the socket has %d bytes, the system takes %d: name a shorter one",
				len(path), maxSocketPath)
		}
		return address{unix: path}, nil
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		return address{}, errors.New("want 127.0.0.1:port, [::1]:port, 0.0.0.0:port or unix:path")
	}
	if ap.Addr().Is4In6() || ap.Addr().Zone() != "" {
		return address{}, errors.New("want an address without a zone, and IPv4 as it is usually written")
	}
	return address{tcp: ap}, nil
}

// local reports whether only this machine reaches the address.
func (a address) local() bool { return a.unix != "" || a.tcp.Addr().IsLoopback() }

// check refuses what cannot work, and what would not hold.
func (cfg *Config) check(a address) error {
	for _, way := range cfg.Identify {
		switch {
		case !slices.Contains(object.AuthMethods, way):
			return fmt.Errorf("identify: there is no way %q; there are: %s", way,
				strings.Join(object.AuthMethods, ", "))
		case way == object.AuthPeer && !a.local():
			return errors.New("identify: the kernel knows the users of this machine only; want hmac or cert")
		case way == object.AuthHMAC && cfg.Keys == nil:
			return errors.New("identify: hmac without keys")
		case way == object.AuthCert && cfg.TLS == nil:
			return errors.New("identify: cert without TLS")
		case way == object.AuthLegacy && !a.local() && (cfg.TLS == nil || cfg.Plain):
			return errors.New("identify: pyro4-hmac can be repeated by whoever sees it; across a network it needs TLS")
		}
	}
	if len(cfg.Identify) == 0 && !a.local() {
		return errors.New("identify: an address that other machines reach needs a way to identify them")
	}
	if !cfg.Plain && cfg.TLS == nil && !slices.Contains(cfg.Identify, object.AuthHMAC) {
		return errors.New("neither plain connections nor TLS nor the HMAC channel are taken")
	}
	return nil
}

func (cfg *Config) takes(way string) bool { return slices.Contains(cfg.Identify, way) }
