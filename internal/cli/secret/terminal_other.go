//go:build !linux

package secret

import "golang.org/x/sys/unix"

// The requests that read and set how a terminal behaves.
const (
	terminalGet = unix.TIOCGETA
	terminalSet = unix.TIOCSETA
)
