package main

import (
	"context"
	_ "embed"
	"errors"
	"net"
	"os/exec"
	"strings"
)

//go:embed peers/redis.lua
var redisFunctions string

// startRedis starts a Redis with the work as functions. durable makes it write each change to the disk before it
// answers; otherwise it keeps nothing.
func startRedis(ctx context.Context, dir string, durable bool) (*peer, error) {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, skipf("there is no redis-server: install Debian's redis-server")
	}
	version, err := firstLine(ctx, bin, "--version")
	if err != nil {
		return nil, skipf("redis-server does not run: %v", err)
	}
	version, _, _ = strings.Cut(version, " sha=") // "Redis server v=7.0.15 sha=…"
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	addr := net.JoinHostPort("127.0.0.1", port)
	//nolint:gosec,noctx // found on PATH; stop ends it
	cmd := exec.Command(bin, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", dir, "--appendonly",
		map[bool]string{true: "yes", false: "no"}[durable], "--appendfsync", "always")
	cmd.Env = baseEnv()
	p, err := start("redis-server", false, cmd)
	if err != nil {
		return nil, err
	}
	if err := p.await(ctx, func() bool { return load(ctx, addr) == nil }); err != nil {
		p.stop()
		return nil, errors.Join(err, load(ctx, addr))
	}
	return &peer{
		name:    nameRedis,
		version: version,
		address: addr,
		pid:     p.cmd.Process.Pid,
		stop:    p.stop,
		dial:    func(ctx context.Context) (caller, error) { return dialResp(ctx, addr) },
	}, nil
}

// load loads the functions into a Redis. Repeating it is not an error.
func load(ctx context.Context, addr string) error {
	c, err := dialResp(ctx, addr)
	if err != nil {
		return err
	}
	defer c.close()
	_, _, err = c.do("FUNCTION", "LOAD", "REPLACE", redisFunctions)
	return err
}
