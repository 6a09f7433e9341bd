package transport

import (
	"context"
	"net"
	"os"
	"sync"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/transport/peer"
)

// OwnerListener listens on a Unix socket and accepts only this process's user and root. The file has mode 0600, and the
// kernel reports the user of each connection. Its methods are safe for concurrent use.
type OwnerListener struct {
	*net.UnixListener
	refused func(uid uint32)

	once    sync.Once
	release func() error
	err     error // result of Close
}

// ListenOwner opens a listener for the owner. It creates a missing folder for this user only and replaces a socket file
// without a listener. A socket in use is an error that wraps EADDRINUSE. A path that is too long is CodeTooLarge.
// refused, if not nil, is called for each rejected connection. ctx bounds opening only.
func ListenOwner(ctx context.Context, path string, refused func(uid uint32)) (*OwnerListener, error) {
	if len(path) > maxSocketPath {
		return nil, object.Errorf(object.CodeTooLarge,
			"the path of the socket %s has %d bytes, the system takes %d: name a shorter one",
			path, len(path), maxSocketPath)
	}
	ln, release, err := bindUnix(ctx, path, 0o700, 0o600)
	if err != nil {
		return nil, err
	}
	return &OwnerListener{UnixListener: ln, refused: refused, release: release}, nil
}

// Accept waits for the next connection of this process's user or root. After Close the error wraps net.ErrClosed.
func (o *OwnerListener) Accept() (net.Conn, error) {
	for {
		c, err := o.AcceptUnix()
		if err != nil {
			return nil, err
		}
		uid, ok := peer.UnixUser(c)
		if ok && (uid == 0 || int(uid) == os.Geteuid()) {
			return c, nil
		}
		c.Close()
		if o.refused != nil {
			o.refused(uid)
		}
	}
}

// Close stops listening and removes the socket file, unless it was replaced. Further calls return the same result.
func (o *OwnerListener) Close() error {
	o.once.Do(func() {
		o.err = o.release()
		if err := o.UnixListener.Close(); err != nil {
			o.err = err
		}
	})
	return o.err
}
