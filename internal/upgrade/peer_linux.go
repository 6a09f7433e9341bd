package upgrade

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Supported is nil where a process can be upgraded.
var Supported error

// checkParent returns nil if this process's parent created the socket, with the same user. The kernel recorded
// both when the socket pair was created.
func checkParent(fd int) error {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	switch {
	case err != nil:
		return fmt.Errorf("reading the peer of descriptor %d: %w", fd, err)
	case int(cred.Uid) != os.Geteuid():
		return fmt.Errorf("descriptor %d is from uid %d, which is not the host's", fd, cred.Uid)
	case int(cred.Pid) != os.Getppid():
		return errors.New("the creator of the socket is not this process's parent, or has ended")
	}
	return nil
}

// monotonic returns the variable that a service manager requires with RELOADING=1.
func monotonic() string {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000)
}
