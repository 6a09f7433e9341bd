package transport

import (
	"context"
	"net"
	"os"
	"sync"

	"github.com/hearthhost/hearth/object"
)

// Own is a listener on a Unix socket that takes nobody but this process's user and root:
// the file has mode 0600, and of each connection the kernel says who made it. Its methods
// may be called concurrently.
type Own struct {
	*net.UnixListener
	refused func(uid uint32)

	once    sync.Once
	release func() error
	err     error // of closing
}

// ListenOwn opens one. The folder is made, for this user alone, if it is missing; a socket
// file that nobody listens on is replaced, and one that somebody listens on is an error
// that wraps EADDRINUSE. refused, if it is not nil, is told of each connection that is
// not taken. A path that is too long is CodeTooLarge. ctx bounds opening only.
func ListenOwn(ctx context.Context, path string, refused func(uid uint32)) (*Own, error) {
	if len(path) > maxSocketPath {
		return nil, object.Errorf(object.CodeTooLarge,
			"the path of the socket %s has %d bytes, the system takes %d: name a shorter one", path, len(path), maxSocketPath)
	}
	ln, release, err := bindUnix(ctx, path, 0o700, 0o600)
	if err != nil {
		return nil, err
	}
	return &Own{UnixListener: ln, refused: refused, release: release}, nil
}

// Accept waits for the next connection of this process's user or root. After Close the
// error wraps net.ErrClosed.
func (o *Own) Accept() (net.Conn, error) {
	for {
		c, err := o.AcceptUnix()
		if err != nil {
			return nil, err
		}
		uid, ok := unixPeer(c)
		if ok && (uid == 0 || int(uid) == os.Geteuid()) {
			return c, nil
		}
		c.Close()
		if o.refused != nil {
			o.refused(uid)
		}
	}
}

// Close stops listening and removes the socket file, if that is still the one that
// ListenOwn made. Closing again does nothing and returns the same.
func (o *Own) Close() error {
	o.once.Do(func() {
		o.err = o.release()
		if err := o.UnixListener.Close(); err != nil {
			o.err = err
		}
	})
	return o.err
}
