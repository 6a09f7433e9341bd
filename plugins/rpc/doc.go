// Package rpc is the protocol between host and plugins: Go code generated from
// plugin.proto, which is checked in so that building needs no generator, and the few
// constants of go-plugin's handshake.
package rpc

//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative plugin.proto

// The handshake of go-plugin: a plugin that is started without the cookie says that it is
// no program for people.
const (
	Version     = 1
	CookieKey   = "HEARTH_PLUGIN"
	CookieValue = "9bd2c5f1a9ab4f0e8f5ae3c1a7d6b2e4"
	Name        = "hearth" // of the one plugin that is dispensed
)

// MaxMessageBytes bounds what either side reads in one message: a payload of 8 MiB and its
// wrapping.
const MaxMessageBytes = 8<<20 + 64<<10
