// Package rpc is the protocol between host and plugins: Go code generated from plugin.proto, and the constants of
// go-plugin's handshake. The generated code is checked in, so a build needs no generator.
package rpc

//go:generate go -C ../../internal/tools run ./protogen ../../plugins/rpc plugin.proto

// Handshake of go-plugin. A plugin that is started without the cookie prints that it is not meant for interactive use.
const (
	Version     = 1
	CookieKey   = "HEARTH_PLUGIN"
	CookieValue = "9bd2c5f1a9ab4f0e8f5ae3c1a7d6b2e4"
	Name        = "hearth" // name of the only plugin that go-plugin dispenses
)

// MaxMessageBytes bounds a received message: a payload of 8 MiB and its envelope.
const MaxMessageBytes = 8<<20 + 64<<10
