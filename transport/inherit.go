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

// Socket is a listening socket that the process was given: by a service manager, or by the
// host whose successor it is.
type Socket struct {
	Name string // of the listener that it is meant for; may be ""
	File *os.File
	// Keep says that the file of a Unix socket belongs to somebody else, who removes it.
	Keep bool
}

// Addr returns where the socket listens, as [Config.Address] has it. What does not listen
// for streams over TCP or a named Unix socket is an error.
func (s *Socket) Addr() (string, error) {
	fd := int(s.File.Fd())
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	listens, errListens := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	switch err := errors.Join(err, errListens); {
	case err != nil:
		return "", fmt.Errorf("asking what the inherited socket %q is: %w", s.Name, err)
	case kind != unix.SOCK_STREAM:
		return "", fmt.Errorf("the inherited socket %q is not one for streams", s.Name)
	case listens == 0:
		return "", fmt.Errorf("the inherited socket %q does not listen", s.Name)
	}
	if err := checkProtocol(fd); err != nil {
		return "", fmt.Errorf("the inherited socket %q: %w", s.Name, err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return "", fmt.Errorf("asking where the inherited socket %q listens: %w", s.Name, err)
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

// Fits returns nil if the socket listens where a listener of this address would. With port
// 0 any port will do.
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
	return fmt.Errorf("the inherited socket %q listens on %s, and the policy says %s", s.Name, at, addr)
}

func samePath(a, b string) bool {
	a, errA := filepath.Abs(a)
	b, errB := filepath.Abs(b)
	return errA == nil && errB == nil && a == b
}

// inherit makes a listener of a socket that was given. It belongs to the listener then.
// The file of a Unix socket stays when the listener is closed, until [Listener.Adopt].
func inherit(cfg Config, a address) (*Listener, error) {
	fail := func(err error) (*Listener, error) {
		return nil, fmt.Errorf("listening on %s: %w", cfg.Address, err)
	}
	if err := cfg.Socket.Fits(cfg.Address); err != nil {
		return fail(err)
	}
	l := &Listener{cfg: cfg, local: a.local(), addr: cfg.Address}
	if a.unix != "" {
		if err := safefile.CheckPath(a.unix); err != nil { // or else somebody could stand in for the host
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
			l.adopted = func() error { return removeOwn(a.unix, info) }
		}
	}
	ln, err := net.FileListener(cfg.Socket.File)
	if err != nil {
		return fail(err)
	}
	cfg.Socket.File.Close()
	if l.net = ln; a.unix == "" {
		l.addr = ln.Addr().String()
	}
	l.keep = cfg.Socket.Keep
	l.cfg.Socket = nil
	return l, nil
}

// Adopt makes the file of an inherited Unix socket the listener's own, which removes it when
// it is closed, unless it is somebody else's for good. Call it before others may call Close.
func (l *Listener) Adopt() {
	if l.release == nil {
		l.release = l.adopted
	}
}

// Share returns the listening socket for another process to go on with. The caller closes
// the file; the listener stays as it is.
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
	// Not by File, which would make the socket block, for this process too.
	var dup int
	errControl := raw.Control(func(fd uintptr) {
		dup, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 3)
	})
	if err = errors.Join(errControl, err); err != nil {
		return s, fmt.Errorf("sharing the socket of %s: %w", l.addr, err)
	}
	s.File = os.NewFile(uintptr(dup), name)
	return s, nil
}

// Leave is Close for a socket that another process goes on with: its file stays.
func (l *Listener) Leave() error {
	l.once.Do(func() { l.err = l.net.Close() })
	return l.err
}
