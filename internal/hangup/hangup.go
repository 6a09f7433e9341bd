// Package hangup reports that the peers of sockets have closed their connections, while no goroutine reads these
// sockets.
//
// A [Watcher] is one epoll instance with one goroutine for all sockets. Registering a socket is one system call and no
// goroutine. Bytes that arrive do not wake the watcher: it registers for the ends of connections only.
//
// The ends of the two directions are different events. A TCP socket cannot distinguish a peer that has closed its
// socket from a peer that sends no more bytes and still reads (shutdown(SHUT_WR)): both send a FIN. After the close
// the peer's kernel answers the next bytes with a reset. So a user of the package that gets [HalfClosed] writes
// something to get [Gone]. A Unix socket reports [Gone] at once.
package hangup

// Event is the end of one or both directions of a connection.
type Event uint8

const (
	// HalfClosed means that the peer sends no more bytes. Whether it still reads is not known.
	HalfClosed Event = iota + 1
	// Gone means that the peer neither sends nor reads: it closed both directions, reset the connection, or no longer
	// answers.
	Gone
)
