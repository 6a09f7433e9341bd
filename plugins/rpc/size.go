package rpc

import "google.golang.org/protobuf/proto"

// Size returns the encoded size of a message of this package in bytes, 0 for any other value.
func Size(m any) int {
	p, _ := m.(proto.Message)
	return proto.Size(p)
}
