package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/hearthhost/hearth/transport"
	"github.com/hearthhost/hearth/wire"
)

// Answers connects to each listener without credentials and returns nil if the host reacts.
// It sends an invalid first message, to which every channel responds without a log line.
// A closed connection also counts: the host may have too many connections. Answers returns
// an error if a listener does not react until ctx is done.
func (h *Host) Answers(ctx context.Context) error {
	for _, l := range h.listeners {
		if err := askListener(ctx, l); err != nil {
			return fmt.Errorf("probe %s: %w", l.Addr(), err)
		}
	}
	return nil
}

func askListener(ctx context.Context, l *transport.Listener) error {
	network, addr := "tcp", reachable(l.Addr())
	if path, ok := strings.CutPrefix(l.Addr(), "unix:"); ok {
		network, addr = "unix", path
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	ping, err := wire.Append(nil, &wire.Message{Protocol: wire.Pyro5, Type: wire.Ping})
	if err != nil {
		return err
	}
	_, err = c.Write(ping)
	if err == nil {
		_, err = io.ReadFull(c, make([]byte, 4))
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errors.New("no response from the host")
	}
	return nil // a response or a closed connection
}

// reachable returns an address on which this machine reaches a listener.
func reachable(addr string) string {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil || !ap.Addr().IsUnspecified() {
		return addr
	}
	to := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if ap.Addr().Is6() {
		to = netip.IPv6Loopback()
	}
	return netip.AddrPortFrom(to, ap.Port()).String()
}
