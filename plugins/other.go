//go:build !linux

package plugins

import (
	"errors"
	"os"
	"syscall"
)

var errLinux = errors.New("plugins run on Linux only")

func newMemory(string) (*os.File, error) { return nil, errLinux }
func seal(*os.File) error                { return errLinux }
func attributes() *syscall.SysProcAttr   { return &syscall.SysProcAttr{Setsid: true} }

func awaitEnd(int) {}

// Shim is the second half of starting a plugin, on Linux.
func Shim() int { return 1 }
