//go:build !linux

package binary

import (
	"errors"
	"os"
)

var errLinux = errors.New("plugins run on Linux only")

func newMemory(string) (*os.File, error) { return nil, errLinux }
func seal(*os.File) error                { return errLinux }
