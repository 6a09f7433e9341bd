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

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/transport"
	"github.com/hearthhost/hearth/wire"
)

// Answers connects to each listener, as a stranger does, and returns nil if the host reacts:
// a first message that is none gets an answer on every channel and leaves no trace in the
// logs. A host that hangs up, because it has too many connections, say, is alive too; one that
// says nothing until ctx is done is not.
func (h *Host) Answers(ctx context.Context) error {
	for _, l := range h.listeners {
		if err := askListener(ctx, l); err != nil {
			return fmt.Errorf("asking %s whether the host answers: %w", l.Addr(), err)
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
	ping, err := wire.Append(nil, &wire.Message{Protocol: object.Pyro5, Type: wire.Ping})
	if err != nil {
		return err
	}
	_, err = c.Write(ping)
	if err == nil {
		_, err = io.ReadFull(c, make([]byte, 4))
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errors.New("it says nothing")
	}
	return nil // an answer, or it hung up
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
