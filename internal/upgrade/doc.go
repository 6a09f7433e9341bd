// Package upgrade replaces a running server process by a new one without closing its listening sockets.
//
// The old process (the parent) starts the program again (the child) and passes it descriptors: the listening
// sockets, the lock of the state folder, the audit log and a [Passage] for open connections. Both processes then hold
// the same open files, so neither the lock nor a connection in a socket's queue is ever lost. At most two processes
// exist at a time: a process whose parent still drains waits for the parent's end before it starts a child.
//
// # Protocol
//
// Parent and child are connected by a Unix socket pair, descriptor 3 of the child, and exchange JSON values:
//
//	parent                                         child
//	  | start(program); descriptors 3, 4, ...         |
//	  | -- handoffMsg: meaning of the descriptors ->  | Accept: check the peer, read the message
//	  |                                               | listen on the sockets
//	  | <- readyMsg: version, inherited listeners --  | Begin
//	  |    or readyMsg: error, then exit              |
//	  | -- controlMsg: proceed -------------------->  |
//	  | stop accepting, drain connections             | accept connections, write host.json
//	  | -- passage: open connections -------------->  | serve them
//	  | <- controlMsg: exit ------------------------  | only if the child itself shuts down
//	  | exit; the socket closes                       | EndHandoff: the audit log has one writer again
//
// The child accepts a connection only after "proceed", and the parent stops accepting only after it has sent
// "proceed", so some process accepts at all times.
//
// # Failures
//
// The child fails before "proceed" (error, exit, no readyMsg within a minute): the parent closes the socket pair,
// waits 10 s for the child to exit, kills it, and serves as before. The failure is in host.json and in the log.
//
// The parent dies before "proceed": the child reads the end of the socket and exits. No process serves.
//
// The parent dies after "proceed": its connections are lost. The child serves alone.
//
// Passed connections belong to the child, and end with it.
//
// The child dies after "proceed", while the parent drains: the parent drains at once and exits, because it can
// no longer accept. A service manager then restarts the service.
//
// # Trust
//
// The number of the descriptor comes from an environment variable, [EnvFD], which any process can set. The child
// therefore reads the peer of the socket from the kernel: it must be the child's parent process and have its user.
// The parent starts the program only if no other user can write or replace it. The passage is a socket pair as well:
// only the parent can describe connections.
//
// # Compatibility
//
// Parent and child have different versions. Fields of messages can be added. No field changes its meaning.
package upgrade
