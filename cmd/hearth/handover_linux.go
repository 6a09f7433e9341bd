package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// canUpgrade is nil where one host can take the place of another.
var canUpgrade error

// proveParent returns nil if the kernel says that the socket was made by this process's
// parent, under the same user.
func proveParent(fd int) error {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	switch {
	case err != nil:
		return fmt.Errorf("asking who made descriptor %d: %w", fd, err)
	case int(cred.Uid) != os.Geteuid():
		return fmt.Errorf("descriptor %d is from user %d, who is not the host's", fd, cred.Uid)
	case int(cred.Pid) != os.Getppid():
		return errors.New("whoever made the socket is not this process's parent, or has ended")
	}
	return nil
}

// monotonic is this moment as a service manager wants it with RELOADING=1.
func monotonic() string {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000)
}
