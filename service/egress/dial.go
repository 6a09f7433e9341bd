package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hearthhost/hearth/service/egress/address"
)

// Resolver finds the addresses of a name. [net.Resolver] implements it.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Bounds of one connection.
const (
	maxAddresses   = 16 // addresses of a name that are tried
	connectTimeout = 10 * time.Second
	attemptTimeout = 3 * time.Second // of one address if others follow
)

// refusedError is the error of an address that the host does not connect to.
type refusedError struct{ err error }

func (e *refusedError) Error() string { return e.err.Error() }

// dialer connects to the hosts of one block.
type dialer struct {
	resolver Resolver
	private  []netip.Prefix          // permitted private ranges
	own      func() []netip.AddrPort // listeners of this host
}

// dial connects to "host:port". The host is one of the policy, and addr cannot be chosen by a script in another way.
func (d *dialer) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, err
	}
	targets, err := d.resolve(ctx, host, uint16(port))
	if err != nil {
		return nil, err
	}
	for i, to := range targets {
		var conn net.Conn
		if conn, err = d.connect(ctx, to, i < len(targets)-1); err == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

// connect connects to one address. The check runs on the address that the system call gets.
func (d *dialer) connect(ctx context.Context, to netip.AddrPort, more bool) (net.Conn, error) {
	if more {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, attemptTimeout)
		defer cancel()
	}
	one := net.Dialer{Control: func(network, addr string, _ syscall.RawConn) error {
		now, err := netip.ParseAddrPort(addr)
		if err != nil || network != "tcp4" && network != "tcp6" || now != to {
			return &refusedError{fmt.Errorf("connection to %s instead of %s", addr, to)}
		}
		return d.check(now)
	}}
	return one.DialContext(ctx, "tcp", to.String())
}

// resolve returns the addresses of a host that may be connected to, at least one.
func (d *dialer) resolve(ctx context.Context, host string, port uint16) ([]netip.AddrPort, error) {
	addrs := []netip.Addr{}
	if a, err := netip.ParseAddr(host); err == nil { // the policy names this address
		addrs = append(addrs, a)
	} else if addrs, err = d.resolver.LookupNetIP(ctx, "ip", rooted(host)); err != nil {
		return nil, fmt.Errorf("resolve %s: %w", host, withoutServer(err))
	}
	var permitted []netip.AddrPort
	var refused error
	for _, a := range addrs[:min(len(addrs), maxAddresses)] {
		to := netip.AddrPortFrom(a.Unmap(), port) // net returns IPv4 addresses in both forms
		if err := d.check(to); err != nil {
			refused = err
			continue
		}
		permitted = append(permitted, to)
	}
	if len(permitted) > 0 {
		return permitted, nil
	}
	if refused == nil {
		return nil, fmt.Errorf("resolve %s: no address", host)
	}
	return nil, &refusedError{fmt.Errorf("%s: %w", host, refused)}
}

// rooted returns a name for which the resolver uses no search list of this machine.
func rooted(host string) string {
	if strings.Contains(host, ".") {
		return host + "."
	}
	return host
}

// withoutServer returns an error of the resolver without the address of the DNS server.
func withoutServer(err error) error {
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		switch {
		case e.IsNotFound:
			return errors.New("no such host")
		case e.IsTimeout:
			return errors.New("timeout of DNS")
		}
		return errors.New("DNS failed")
	}
	return err
}

// check returns an error unless the host may connect to an address.
func (d *dialer) check(to netip.AddrPort) error {
	if err := address.Check(to.Addr(), d.private); err != nil {
		return &refusedError{err}
	}
	if d.own == nil {
		return nil
	}
	for _, own := range d.own() {
		if own.Port() != to.Port() {
			continue
		}
		at := own.Addr().Unmap()
		if at == to.Addr() || at.IsUnspecified() && local(to.Addr()) {
			return &refusedError{fmt.Errorf("%s is a listener of this host", to)}
		}
	}
	return nil
}

// local reports whether an address belongs to this machine. It is true if that cannot be found out.
func local(a netip.Addr) bool {
	if a.IsLoopback() {
		return true
	}
	all, err := net.InterfaceAddrs()
	return err != nil || slices.ContainsFunc(all, func(n net.Addr) bool {
		p, err := netip.ParsePrefix(n.String())
		return err == nil && p.Addr().Unmap() == a
	})
}
