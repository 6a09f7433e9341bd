// Package transport opens the host's listeners and learns from the kernel who is at the
// other end of a connection.
//
// It accepts loopback and Unix sockets only: the one way of identification that exists,
// "peer", cannot tell who sits at another machine. [Listener.Accept] identifies nobody,
// so that no peer can hold up the others; [Identify] does, when the connection's own
// goroutine asks. What an identity may do is not this package's business.
package transport
