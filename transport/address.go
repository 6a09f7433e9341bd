package transport

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// ways are the ways of identification that a listener may name.
var ways = []string{"peer"}

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
			return address{}, fmt.Errorf("the path of the socket has %d bytes, the system takes %d: name a shorter one", len(path), maxSocketPath)
		}
		return address{unix: path}, nil
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		return address{}, errors.New("want 127.0.0.1:port, [::1]:port or unix:path")
	}
	if !ap.Addr().IsLoopback() || ap.Addr().Is4In6() || ap.Addr().Zone() != "" {
		return address{}, errors.New("not a loopback address: this version identifies peers on this machine only, so it listens on 127.0.0.1, [::1] and unix:path")
	}
	return address{tcp: ap}, nil
}

// checkWays refuses ways of identification that do not exist. None means all that do.
func checkWays(identify []string) error {
	for _, way := range identify {
		if !slices.Contains(ways, way) {
			return fmt.Errorf("identify: there is no way %q; there is: %s", way, strings.Join(ways, ", "))
		}
	}
	return nil
}
