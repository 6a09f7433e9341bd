// Package transport opens the host's listeners and learns who is at the other end of a
// connection.
//
// One port takes all channels and tells them apart by their first byte: TLS, the HMAC
// channel of package signed, or plain messages. [Listener.Accept] reads nothing and
// identifies nobody, so that no peer can hold up the others; [Listener.Open] does, when
// the connection's own goroutine asks. What an identity may do is not this package's
// business, and neither are the signatures of Pyro4, which are part of messages.
package transport
