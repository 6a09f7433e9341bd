package daemon

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/internal/shell"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// explainListen adds a remedy to the usual errors of listening.
func explainListen(err error) error {
	var listen *host.ListenError
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && errors.As(err, &listen):
		return fmt.Errorf("%w\nanother program has this address: hearth ping --at %s shows whether it is a host; "+
			"or use another address in %s", err, shell.Quote(reachable(listen.Address)), policyFile)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w\nthis user cannot listen there: "+
			"ports below 1024 and folders of other users need more rights", err)
	}
	return err
}

// reachable returns the address by which this machine reaches a listener.
func reachable(address string) string {
	at, err := netip.ParseAddrPort(address)
	switch {
	case err != nil || !at.Addr().IsUnspecified():
		return address
	case at.Addr().Is4():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port()).String()
	}
	return netip.AddrPortFrom(netip.IPv6Loopback(), at.Port()).String()
}

// greet prints the policy, and each address with a command that calls it.
func greet(w io.Writer, from string, listeners []policy.Listener, addrs []string) {
	fmt.Fprintf(w, "serving under %s\n", from)
	for i, a := range addrs {
		fmt.Fprintf(w, "listening on %s%s\n", a, callHere(&listeners[i], a))
	}
}

// callHere returns a command that calls a listener from this machine, "" if none can.
func callHere(l *policy.Listener, addr string) string {
	at, err := netip.ParseAddrPort(addr)
	local := err != nil || at.Addr().IsLoopback()
	if l.HTTP != nil {
		return callHTTP(l, addr)
	}
	if local && l.Plain && slices.Contains(l.Identify, object.AuthPeer) {
		return ": hearth ls --at " + shell.Quote(addr)
	}
	var proofs []string
	if slices.Contains(l.Identify, object.AuthHMAC) {
		proofs = append(proofs, "a key")
	}
	if slices.Contains(l.Identify, object.AuthCert) {
		proofs = append(proofs, "a certificate")
	}
	if proofs == nil {
		return ""
	}
	return ", with " + strings.Join(proofs, " or ") + ": hearth ls --profile FILE"
}

// callHTTP returns a command that calls a listener of HTTP clients from this machine, "" if none can.
func callHTTP(l *policy.Listener, addr string) string {
	switch path, unix := strings.CutPrefix(addr, "unix:"); {
	case l.TLS != nil && !l.Plain:
		return ", HTTPS"
	case unix:
		return ": curl --unix-socket " + shell.Quote(path) + " http://localhost/v1/objects"
	}
	return ": curl http://" + reachable(addr) + "/v1/objects"
}
