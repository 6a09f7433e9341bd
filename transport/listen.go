// Package transport opens listeners and says who is at the other end of a connection. It
// asks the kernel and believes nobody else; what it cannot tell is nobody.
package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hearthhost/hearth/object"
)

// Config says where to listen. Address is "host:port" with a literal loopback address, or
// "unix:path". Identify lists the ways of identification; "peer" is the only one.
type Config struct {
	Address  string
	Identify []string
}

// CheckConfig returns what is wrong with a listener's configuration.
func CheckConfig(cfg Config) error {
	for _, way := range cfg.Identify {
		if way != "peer" {
			return fmt.Errorf("identify = %q: this version knows \"peer\" only", way)
		}
	}
	if path, ok := strings.CutPrefix(cfg.Address, "unix:"); ok {
		if path == "" || len(path) > 100 {
			return fmt.Errorf("address %q: the path of a Unix socket has 1 to 100 bytes", cfg.Address)
		}
		return nil
	}
	ap, err := netip.ParseAddrPort(cfg.Address)
	if err != nil {
		return fmt.Errorf("address %q: want 127.0.0.1:port, [::1]:port or unix:path", cfg.Address)
	}
	if !ap.Addr().IsLoopback() {
		return fmt.Errorf("address %q is not a loopback address: \"peer\" cannot identify other machines", cfg.Address)
	}
	return nil
}

// Listener accepts connections.
type Listener struct {
	net.Listener
	path string      // of a Unix socket
	info os.FileInfo // of the socket file we made
}

// Listen opens a listener. A stale Unix socket, one that nobody listens on, is replaced.
func Listen(ctx context.Context, cfg Config) (*Listener, error) {
	if err := CheckConfig(cfg); err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	path, ok := strings.CutPrefix(cfg.Address, "unix:")
	if !ok {
		l, err := lc.Listen(ctx, "tcp", cfg.Address)
		if err != nil {
			return nil, fmt.Errorf("listening on %s: %w", cfg.Address, err)
		}
		return &Listener{Listener: l}, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // clients of other accounts reach the socket
		return nil, fmt.Errorf("making the folder of %s: %w", path, err)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", cfg.Address, err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o666); err != nil { //nolint:gosec // the kernel identifies every peer
		l.Close()
		return nil, fmt.Errorf("opening %s to its callers: %w", path, err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("listening on %s: %w", cfg.Address, err)
	}
	return &Listener{Listener: l, path: path, info: info}, nil
}

// removeStale removes a socket file that nobody listens on.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at %s: %w", path, err)
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s exists and is not a socket: move it away or name another path", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return fmt.Errorf("another process is serving on %s: stop it first or name another path", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("finding out whether %s is in use: %w", path, err)
	}
	return os.Remove(path)
}

// Addr returns the address in the form of Config, with the real port.
func (l *Listener) Addr() string {
	if l.path != "" {
		return "unix:" + l.path
	}
	return l.Listener.Addr().String()
}

// Close stops listening and removes our own socket file, not one that has replaced it.
func (l *Listener) Close() error {
	if l.path != "" {
		if info, err := os.Lstat(l.path); err == nil && os.SameFile(info, l.info) {
			_ = os.Remove(l.path)
		}
	}
	return l.Listener.Close()
}

// Identify asks the kernel who is at the other end of c. Way is "" if it cannot tell.
func Identify(c net.Conn) object.Peer {
	p := object.Peer{Channel: "tcp", Addr: c.RemoteAddr().String()}
	var uid uint32
	var err error
	switch c := c.(type) {
	case *net.UnixConn:
		p.Channel = "unix"
		uid, err = unixPeer(c)
		p.Addr = fmt.Sprintf("unix:%d", uid)
	case *net.TCPConn:
		uid, err = tcpPeer(c)
	default:
		err = errors.New("a connection of an unknown kind")
	}
	if err == nil {
		p.Way, p.UID = "peer", uid
	}
	return p
}
