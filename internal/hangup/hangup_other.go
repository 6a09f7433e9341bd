//go:build !linux

package hangup

import (
	"errors"
	"syscall"
)

// Watcher does not exist on this system.
type Watcher struct{}

// New returns an error.
func New() (*Watcher, error) { return nil, errors.ErrUnsupported }

// Close does nothing.
func (*Watcher) Close() error { return nil }

// Add returns an error.
func (*Watcher) Add(syscall.Conn, func(Event)) (func(), error) { return nil, errors.ErrUnsupported }
