// Package transport opens the host's listeners and authenticates peers.
//
// One port accepts all channels and distinguishes them by their first byte: TLS, the HMAC channel of package signed, or
// plain messages. [Listener.Accept] neither reads nor identifies, so a peer cannot delay others. [Listener.Open] does
// both in the goroutine of the connection. Package peer identifies processes of this machine. Authorization and the
// message signatures of Pyro4 are handled elsewhere.
package transport
