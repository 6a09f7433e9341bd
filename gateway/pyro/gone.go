package pyro

import (
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/hearthhost/hearth/host/dispatch"
	"github.com/hearthhost/hearth/internal/hangup"
	"github.com/hearthhost/hearth/wire"
)

// outbound serializes the writers of a connection: its goroutine, which writes messages, and probe.
//
// While a call runs, the connection's goroutine does not read, so it does not see that its client is gone. The server's
// watcher sees it and cancels the call. For a FIN of TCP the host finds out whether the client still reads: probe sends
// the first byte of the reply early. A client that sends no more and waits for the reply gets a reply in two parts. The
// kernel of a client that has closed its socket answers with a reset, which the watcher reports.
type outbound struct {
	halfClosed atomic.Bool // the peer sends no more bytes

	mu      sync.Mutex // held while bytes are written; guards the fields below
	awaited bool       // a call runs, and the next bytes are those of its reply
	early   int        // bytes of the next message that were written early: 0 or 1
}

// watchPeer has the server's watcher cancel the calls of a client that is gone. Without a watcher they run to their
// end.
func (c *conn) watchPeer() {
	socket, ok := c.socket.(syscall.Conn)
	if c.s.peers == nil || !ok {
		return
	}
	unwatch, err := c.s.peers.Add(socket, c.peerEnded)
	if err != nil { // most likely a socket that was closed meanwhile
		c.s.log.Debug("calls of a connection are not cancelled when its client is gone", "err", err)
		return
	}
	c.unwatch = unwatch
}

// peerEnded handles an event of the server's watcher. It does not block.
func (c *conn) peerEnded(e hangup.Event) {
	if e == hangup.Gone {
		c.cancel(dispatch.ClientGone)
		return
	}
	c.outbound.halfClosed.Store(true)
	go c.probe() // ends with the write deadline or the connection
}

// beginCall marks that a call runs, whose reply the client waits for. The next write ends that.
func (c *conn) beginCall() {
	c.outbound.mu.Lock()
	c.outbound.awaited = true
	c.outbound.mu.Unlock()
	if c.outbound.halfClosed.Load() {
		go c.probe() // ends with the write deadline or the connection
	}
}

// probe writes the first byte of a running call's reply, so that the kernel of a client that is gone resets the
// connection. It does nothing between calls.
func (c *conn) probe() {
	c.outbound.mu.Lock()
	defer c.outbound.mu.Unlock()
	if !c.outbound.awaited || c.outbound.early > 0 {
		return
	}
	if err := c.writeBytes([]byte{wire.FirstByte}); err != nil {
		c.cancel(dispatch.ClientGone)
		return
	}
	c.outbound.early = 1
}
