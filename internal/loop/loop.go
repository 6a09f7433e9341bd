// Package loop waits for many sockets in one goroutine, without a goroutine for each.
//
// A [Loop] owns an epoll. Its goroutine waits for events, calls the handlers of sockets, and then calls the functions
// that were posted: one such pass is a round. Handlers run one at a time and must not block.
//
// A [Conn] is a socket of a loop. It is either parked, and then a [Handler] of the loop reads and writes it, or it
// belongs to a goroutine, whose Read and Write wait as those of any [net.Conn]. It can change between both at any time:
// rare and slow work is ordinary code of a goroutine.
//
// Loops exist on Linux. [New] returns an error elsewhere: all connections belong to goroutines there.
package loop

import "errors"

// ErrUnsupported is the error of New where loops do not exist.
var ErrUnsupported = errors.New("event loops need Linux")

// Handler handles the events of a parked connection or of another descriptor.
type Handler interface {
	// Ready is called in the loop's goroutine when the descriptor may be readable, was closed by its peer or failed.
	// An event is reported once: the handler reads until no bytes are left, or unparks the connection. A read that does
	// not fill its buffer leaves none. end means that the peer may have closed the stream, or that it failed; the bytes
	// before the end come first.
	Ready(end bool)
}
