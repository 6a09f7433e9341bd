package transport

import (
	"container/list"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/hearthhost/hearth/internal/cgroup"
	"github.com/hearthhost/hearth/object"
)

// Bounds of TLS handshakes, whose peers are not known yet.
const (
	// MaxHandshakeBytes bounds the bytes that a peer sends until its TLS handshake is complete.
	MaxHandshakeBytes = 32 << 10
	// MaxHandshakesBytes bounds the bytes that all unfinished TLS handshakes hold together.
	MaxHandshakesBytes = 32 << 20

	handshakePatience = 5 * time.Second // waiting for a turn to compute
)

// errCrowded is the error of a handshake that was ended because its source held the most memory.
var errCrowded = errors.New("too many unfinished TLS handshakes, most of them from this source")

// Handshakes bounds the processor time and memory of the TLS handshakes of one or more
// listeners. A handshake computes only while it has a turn. There are as many turns as half the
// processors; sources take them in rotation. A handshake that waits for its peer has no turn.
// Its methods may be called concurrently.
type Handshakes struct {
	mu      sync.Mutex // guards all below
	free    int        // turns that are not in use
	sources map[source]*load
	waiting []*load // loads with handshakes that wait for a turn, next first
	held    int     // bytes
}

// NewHandshakes returns the bounds for listeners that share a process.
func NewHandshakes() *Handshakes {
	return &Handshakes{free: (cgroup.Processors() + 1) / 2, sources: map[source]*load{}}
}

// source identifies where handshakes come from: an IPv4 address, an IPv6 /64, or a user of this
// machine. Local users whose uid is not known share one source.
type source struct {
	network netip.Prefix
	uid     uint32
	local   bool
}

// load is the work of one source's unfinished handshakes.
type load struct {
	conns   list.List       // *handshakeConn, oldest first
	held    int             // bytes
	waiting []chan struct{} // closed to give a turn, next first
}

// sourceOf returns the source of a connection.
func sourceOf(nc net.Conn) source {
	if network, ok := Network(nc); ok {
		return source{network: network}
	}
	s := source{local: true, uid: noUID}
	if known := Identify(nc); known.Auth == object.AuthPeer {
		s.uid = known.UID
	}
	return s
}

// handshakeConn is the socket below a TLS connection. Until its handshake is over it counts
// bytes and gives up its turn while it waits for the peer.
type handshakeConn struct {
	net.Conn
	all  *Handshakes
	load *load
	at   *list.Element // in load.conns; guarded by all.mu
	from source
	held int       // bytes read; guarded by all.mu
	by   time.Time // waits for no turn after this
	turn bool
	over bool
}

// begin returns nc for a handshake, which starts with a turn. The caller ends it with [handshakeConn.end].
func (h *Handshakes) begin(nc net.Conn, from source) (*handshakeConn, error) {
	c := &handshakeConn{Conn: nc, all: h, from: from, by: time.Now().Add(handshakePatience)}
	h.mu.Lock()
	c.load = h.sources[from]
	if c.load == nil {
		c.load = new(load)
		h.sources[from] = c.load
	}
	c.at = c.load.conns.PushBack(c)
	h.mu.Unlock()
	if err := c.enter(); err != nil {
		c.end()
		return nil, err
	}
	return c, nil
}

// end gives back what a handshake holds. From then on the connection is as its socket.
func (c *handshakeConn) end() {
	c.leave()
	c.over = true
	h := c.all
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dropLocked(c)
	if c.load.conns.Len() == 0 && h.sources[c.from] == c.load {
		delete(h.sources, c.from)
	}
}

// dropLocked takes back the bytes of a handshake. Again does nothing.
func (h *Handshakes) dropLocked(c *handshakeConn) {
	if c.at == nil {
		return
	}
	c.load.conns.Remove(c.at)
	c.at = nil
	c.load.held -= c.held
	h.held -= c.held
}

// Read implements [net.Conn].
func (c *handshakeConn) Read(p []byte) (int, error) {
	if c.over {
		return c.Conn.Read(p)
	}
	left := MaxHandshakeBytes - c.held // written by this goroutine only
	if left == 0 {
		return 0, fmt.Errorf("the peer sent more than %d bytes before the handshake was complete", MaxHandshakeBytes)
	}
	c.leave()
	n, err := c.Conn.Read(p[:min(len(p), left)])
	if !c.take(n) {
		return 0, errCrowded
	}
	if err != nil {
		return n, err
	}
	return n, c.enter()
}

// Write implements [net.Conn].
func (c *handshakeConn) Write(p []byte) (int, error) {
	if c.over {
		return c.Conn.Write(p)
	}
	c.leave() // a peer that does not read must not keep a turn
	n, err := c.Conn.Write(p)
	if err != nil {
		return n, err
	}
	return n, c.enter()
}

// take counts n bytes that were read. If all handshakes hold too much, it ends the oldest one of
// the source that holds most. It reports whether c goes on.
func (c *handshakeConn) take(n int) bool {
	h := c.all
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.at == nil {
		return false
	}
	c.held += n
	c.load.held += n
	h.held += n
	for h.held > MaxHandshakesBytes {
		var largest *load
		for _, l := range h.sources {
			if largest == nil || l.held > largest.held {
				largest = l
			}
		}
		victim := largest.conns.Front().Value.(*handshakeConn) //nolint:forcetypeassert // holds nothing else
		h.dropLocked(victim)
		if victim != c {
			victim.Conn.Close()
		}
	}
	return c.at != nil
}

// enter waits for a turn.
func (c *handshakeConn) enter() error {
	h := c.all
	h.mu.Lock()
	if h.free > 0 {
		h.free--
		h.mu.Unlock()
		c.turn = true
		return nil
	}
	ready := make(chan struct{})
	if c.load.waiting = append(c.load.waiting, ready); len(c.load.waiting) == 1 {
		h.waiting = append(h.waiting, c.load)
	}
	h.mu.Unlock()
	late := time.NewTimer(time.Until(c.by))
	defer late.Stop()
	select {
	case <-ready:
		c.turn = true
		return nil
	case <-late.C:
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.Index(c.load.waiting, ready); i >= 0 {
		c.load.waiting = slices.Delete(c.load.waiting, i, i+1)
		if len(c.load.waiting) == 0 {
			i = slices.Index(h.waiting, c.load)
			h.waiting = slices.Delete(h.waiting, i, i+1)
		}
	} else {
		h.passLocked() // it came at the same moment
	}
	return fmt.Errorf("waiting for a turn to do the handshake: %w", os.ErrDeadlineExceeded)
}

// leave gives up the turn, if c has one.
func (c *handshakeConn) leave() {
	if !c.turn {
		return
	}
	c.turn = false
	c.all.mu.Lock()
	c.all.passLocked()
	c.all.mu.Unlock()
}

// passLocked gives a turn to the next source's next handshake.
func (h *Handshakes) passLocked() {
	if len(h.waiting) == 0 {
		h.free++
		return
	}
	next := h.waiting[0]
	h.waiting = slices.Delete(h.waiting, 0, 1)
	ready := next.waiting[0]
	if next.waiting = slices.Delete(next.waiting, 0, 1); len(next.waiting) > 0 {
		h.waiting = append(h.waiting, next)
	}
	close(ready)
}
