//go:build !linux

package main

import (
	"errors"
	"net"
	"time"
)

// generator exists on Linux only.
type generator struct{}

func newGenerator(*exchange) (*generator, error) {
	return nil, errors.New("the lean load generator needs epoll, which only Linux has")
}

func (*generator) add(net.Conn) error { return nil }

func (*generator) close() {}

func (*generator) run(time.Duration) (elapsed time.Duration, times []time.Duration, err error) {
	return 0, nil, nil
}
