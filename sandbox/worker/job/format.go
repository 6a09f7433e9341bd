package job

import (
	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/codec/web"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox"
)

// format reads and writes the payloads of one [object.Format]. Implementations are immutable.
type format interface {
	sandbox.Classes
	// ID returns the serializer of the replies.
	ID() codec.ID
	// DecodeCall writes the two values of a call's payload to a sink, as [sandbox.Request] requires of Args.
	DecodeCall(kind object.CallKind, payload []byte, limits codec.Limits, to object.Sink) error
	// NewEncoder returns an encoder of one value, which is appended to buf.
	NewEncoder(buf []byte) codec.Encoder
}

// lookupFormat returns the format of a name, nil for an unknown one. Each kind of client has a case here.
func lookupFormat(name object.Format) format {
	if f := pyro.Lookup(name); f != nil {
		return f
	}
	if f := web.Lookup(name); f != nil {
		return f
	}
	return nil
}
