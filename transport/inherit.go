package transport

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/hearthhost/hearth/internal/safefile"
)

// Socket is a listening socket from another process: a service manager, or the predecessor of this host.
type Socket struct {
	Name string // name of the listener; may be ""
	File *os.File
	// Keep means that another process owns the file of the Unix socket and removes it.
	Keep bool
}

// Addr returns the address of the socket in the form of [Config.Address]. Only listening stream sockets of TCP and
// named Unix sockets are accepted.
func (s *Socket) Addr() (string, error) {
	fd := int(s.File.Fd())
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	listens, errListens := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	switch err := errors.Join(err, errListens); {
	case err != nil:
		return "", fmt.Errorf("reading the type of the inherited socket %q: %w", s.Name, err)
	case kind != unix.SOCK_STREAM:
		return "", fmt.Errorf("the inherited socket %q is not a stream socket", s.Name)
	case listens == 0:
		return "", fmt.Errorf("the inherited socket %q does not listen", s.Name)
	}
	if err := checkProtocol(fd); err != nil {
		return "", fmt.Errorf("the inherited socket %q: %w", s.Name, err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return "", fmt.Errorf("reading the address of the inherited socket %q: %w", s.Name, err)
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)).String(), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)).String(), nil
	case *unix.SockaddrUnix:
		if sa.Name != "" && sa.Name[0] != '@' {
			return "unix:" + sa.Name, nil
		}
	}
	return "", fmt.Errorf("the inherited socket %q listens neither on TCP nor on a named Unix socket", s.Name)
}

// Fits reports whether the socket has the address of a listener; nil means yes. Port 0 fits any port.
func (s *Socket) Fits(addr string) error {
	want, err := parseAddress(addr)
	if err != nil {
		return invalid(addr, err)
	}
	at, err := s.Addr()
	if err != nil {
		return err
	}
	have, err := parseAddress(at)
	if err != nil {
		return invalid(at, err)
	}
	switch {
	case want.unix != "" && have.unix != "" && samePath(want.unix, have.unix):
		return nil
	case want.unix == "" && have.unix == "" && want.tcp.Addr() == have.tcp.Addr() &&
		(want.tcp.Port() == 0 || want.tcp.Port() == have.tcp.Port()):
		return nil
	}
	return fmt.Errorf("the inherited socket %q listens on %s, and the policy has %s", s.Name, at, addr)
}

func samePath(a, b string) bool {
	a, errA := filepath.Abs(a)
	b, errB := filepath.Abs(b)
	return errA == nil && errB == nil && a == b
}

// inherit makes a listener of an inherited socket and owns it from then on. Closing the listener keeps the file of a
// Unix socket until [Listener.Adopt].
func inherit(cfg Config, a address) (*Listener, error) {
	fail := func(err error) (*Listener, error) {
		return nil, fmt.Errorf("listening on %s: %w", cfg.Address, err)
	}
	if err := cfg.Socket.Fits(cfg.Address); err != nil {
		return fail(err)
	}
	l := &Listener{cfg: cfg, local: a.local(), addr: cfg.Address}
	if a.unix != "" {
		if err := safefile.CheckPath(a.unix); err != nil { // another user could replace the socket
			return fail(err)
		}
		info, err := os.Lstat(a.unix)
		if err == nil && info.Mode().Type() != fs.ModeSocket {
			err = fmt.Errorf("%s is not a socket", a.unix)
		}
		if err != nil {
			return fail(err)
		}
		if !cfg.Socket.Keep {
			l.adopted = func() error { return removeSame(a.unix, info) }
		}
	}
	ln, err := net.FileListener(cfg.Socket.File)
	if err != nil {
		return fail(err)
	}
	cfg.Socket.File.Close()
	l.net = ln
	if a.unix == "" {
		l.addr = ln.Addr().String()
	}
	l.keep = cfg.Socket.Keep
	l.cfg.Socket = nil
	return l, nil
}

// Adopt makes the listener remove the file of an inherited Unix socket when it is closed, except with [Socket.Keep].
// Call it before concurrent calls of Close.
func (l *Listener) Adopt() {
	if l.release == nil {
		l.release = l.adopted
	}
}

// Share returns the listening socket for a successor process. The caller closes the file; the listener is unchanged.
func (l *Listener) Share(name string) (Socket, error) {
	s := Socket{Name: name, Keep: l.keep}
	c, ok := l.net.(syscall.Conn)
	if !ok {
		return s, fmt.Errorf("sharing the socket of %s: it is a %T", l.addr, l.net)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return s, fmt.Errorf("sharing the socket of %s: %w", l.addr, err)
	}
	// Not by File: it would make the socket blocking, in this process too.
	var dup int
	errControl := raw.Control(func(fd uintptr) {
		dup, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 3)
	})
	err = errors.Join(errControl, err)
	if err != nil {
		return s, fmt.Errorf("sharing the socket of %s: %w", l.addr, err)
	}
	s.File = os.NewFile(uintptr(dup), name)
	return s, nil
}

// Leave is Close without removing the socket's file, for a socket that another process continues to use.
func (l *Listener) Leave() error {
	l.once.Do(func() { l.err = l.net.Close() })
	return l.err
}
