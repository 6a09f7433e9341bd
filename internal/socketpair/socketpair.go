// Package socketpair creates a pair of connected Unix sockets: one to keep, and one to pass to a process.
package socketpair

import (
	"net"
	"os"
	"syscall"
)

// New returns the own end of a new pair of stream sockets and the file of the other end. Both have close-on-exec set;
// os/exec duplicates the file into the process that it starts.
func New() (ours *net.UnixConn, theirs *os.File, err error) {
	f, theirs, err := Files()
	if err != nil {
		return nil, nil, err
	}
	defer f.Close() // net.FileConn duplicates it
	conn, err := net.FileConn(f)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return conn.(*net.UnixConn), theirs, nil //nolint:forcetypeassert // a Unix socket
}

// Files is New with both ends as files, in blocking mode.
func Files() (ours, theirs *os.File, err error) {
	// A fork between the two steps would pass this pair to another process.
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), "socketpair"), os.NewFile(uintptr(fds[1]), "socketpair"), nil
}
