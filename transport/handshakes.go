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
	"github.com/hearthhost/hearth/transport/peer"
)

// Bounds of TLS handshakes with peers that are not authenticated yet.
const (
	// MaxHandshakeBytes bounds the bytes that a peer sends until its TLS handshake is complete.
	MaxHandshakeBytes = 32 << 10
	// MaxHandshakesBytes bounds the bytes that all unfinished TLS handshakes hold together.
	MaxHandshakesBytes = 32 << 20

	slotTimeout = 5 * time.Second // wait for a slot
)

// errOverloaded ends a handshake whose source holds the most memory.
var errOverloaded = errors.New("too many unfinished TLS handshakes, most of them from this source")

// Handshakes bounds the processor time and memory of the TLS handshakes of one or more listeners. A handshake computes
// only while it has a slot. There are half as many slots as processors; sources get them in rotation. A handshake that
// waits for its peer has no slot. Its methods are safe for concurrent use.
type Handshakes struct {
	mu      sync.Mutex // guards all fields below
	free    int        // unused slots
	sources map[source]*load
	waiting []*load // sources with handshakes that wait for a slot, next first
	held    int     // bytes
}

// NewHandshakes returns bounds that the listeners of a process share.
func NewHandshakes() *Handshakes {
	return &Handshakes{free: (cgroup.Processors() + 1) / 2, sources: map[source]*load{}}
}

// source is the origin of handshakes: an IPv4 address, an IPv6 /64, or a local user. Local users with an unknown uid
// share one source.
type source struct {
	network netip.Prefix
	uid     uint32
	local   bool
}

// load is the unfinished handshakes of one source.
type load struct {
	conns   list.List       // *handshakeConn, oldest first
	held    int             // bytes
	waiting []chan struct{} // closed to grant a slot, next first
}

// sourceOf returns the source of a connection.
func sourceOf(nc net.Conn) source {
	if network, ok := peer.Network(nc); ok {
		return source{network: network}
	}
	s := source{local: true, uid: peer.NoUID}
	if known := peer.Identify(nc); known.Auth == object.AuthPeer {
		s.uid = known.UID
	}
	return s
}

// handshakeConn is the socket below a TLS connection. During the handshake it counts bytes and releases its slot while
// it waits for the peer.
type handshakeConn struct {
	net.Conn
	bounds   *Handshakes
	load     *load
	element  *list.Element // element of load.conns; guarded by bounds.mu
	source   source
	held     int       // bytes read; guarded by bounds.mu
	deadline time.Time // end of all waits for a slot
	hasSlot  bool
	over     bool
}

// begin returns nc for a handshake, which starts with a slot. The caller ends it with [handshakeConn.end].
func (h *Handshakes) begin(nc net.Conn, from source) (*handshakeConn, error) {
	c := &handshakeConn{Conn: nc, bounds: h, source: from, deadline: time.Now().Add(slotTimeout)}
	h.mu.Lock()
	c.load = h.sources[from]
	if c.load == nil {
		c.load = new(load)
		h.sources[from] = c.load
	}
	c.element = c.load.conns.PushBack(c)
	h.mu.Unlock()
	if err := c.enter(); err != nil {
		c.end()
		return nil, err
	}
	return c, nil
}

// end releases the resources of a handshake. After that the connection behaves like its socket.
func (c *handshakeConn) end() {
	c.leave()
	c.over = true
	h := c.bounds
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dropLocked(c)
	if c.load.conns.Len() == 0 && h.sources[c.source] == c.load {
		delete(h.sources, c.source)
	}
}

// dropLocked releases the bytes of a handshake. Further calls do nothing.
func (h *Handshakes) dropLocked(c *handshakeConn) {
	if c.element == nil {
		return
	}
	c.load.conns.Remove(c.element)
	c.element = nil
	c.load.held -= c.held
	h.held -= c.held
}

// Read implements [net.Conn].
func (c *handshakeConn) Read(p []byte) (int, error) {
	if c.over {
		return c.Conn.Read(p)
	}
	left := MaxHandshakeBytes - c.held // only this goroutine writes c.held
	if left == 0 {
		return 0, fmt.Errorf("the peer sent more than %d bytes before the handshake was complete", MaxHandshakeBytes)
	}
	c.leave()
	n, err := c.Conn.Read(p[:min(len(p), left)])
	if !c.take(n) {
		return 0, errOverloaded
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
	c.leave() // a peer that does not read must not hold a slot
	n, err := c.Conn.Write(p)
	if err != nil {
		return n, err
	}
	return n, c.enter()
}

// take counts n bytes that were read. Over the limit of all handshakes it ends the oldest handshake of the source that
// holds the most bytes. It reports whether c continues.
func (c *handshakeConn) take(n int) bool {
	h := c.bounds
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.element == nil {
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
		victim := largest.conns.Front().Value.(*handshakeConn) //nolint:forcetypeassert // the only type in the list
		h.dropLocked(victim)
		if victim != c {
			victim.Conn.Close()
		}
	}
	return c.element != nil
}

// enter waits for a slot.
func (c *handshakeConn) enter() error {
	h := c.bounds
	h.mu.Lock()
	if h.free > 0 {
		h.free--
		h.mu.Unlock()
		c.hasSlot = true
		return nil
	}
	ready := make(chan struct{})
	c.load.waiting = append(c.load.waiting, ready)
	if len(c.load.waiting) == 1 {
		h.waiting = append(h.waiting, c.load)
	}
	h.mu.Unlock()
	late := time.NewTimer(time.Until(c.deadline))
	defer late.Stop()
	select {
	case <-ready:
		c.hasSlot = true
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
		h.passLocked() // the slot was granted at the same moment
	}
	return fmt.Errorf("waiting for a slot to do the handshake: %w", os.ErrDeadlineExceeded)
}

// leave releases the slot, if c has one.
func (c *handshakeConn) leave() {
	if !c.hasSlot {
		return
	}
	c.hasSlot = false
	c.bounds.mu.Lock()
	c.bounds.passLocked()
	c.bounds.mu.Unlock()
}

// passLocked grants a slot to the next handshake of the next source.
func (h *Handshakes) passLocked() {
	if len(h.waiting) == 0 {
		h.free++
		return
	}
	next := h.waiting[0]
	h.waiting = slices.Delete(h.waiting, 0, 1)
	ready := next.waiting[0]
	next.waiting = slices.Delete(next.waiting, 0, 1)
	if len(next.waiting) > 0 {
		h.waiting = append(h.waiting, next)
	}
	close(ready)
}
