package pyro

import (
	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// Format is the encoding of the calls of one kind of Pyro client: the generation and the serializer. It reads and
// writes payloads, and has the client's names of classes. A Format is immutable.
type Format struct {
	codec.Serializer
	generation wire.Protocol
	name       object.Format
}

// formats has all formats by generation and serializer.
var formats = func() (all [2][codec.Msgpack + 1]*Format) {
	for i, p := range [...]wire.Protocol{wire.Pyro4, wire.Pyro5} {
		prefix := [...]string{"pyro4/", "pyro5/"}[i]
		for id := codec.Serpent; id <= codec.Msgpack; id++ {
			s := codec.ByID(id)
			all[i][id] = &Format{Serializer: s, generation: p, name: object.Format(prefix + s.Name())}
		}
	}
	return all
}()

// FormatOf returns the format of clients of protocol p that use the serializer s.
func FormatOf(p wire.Protocol, s codec.Serializer) *Format {
	if p == wire.Pyro4 {
		return formats[0][s.ID()]
	}
	return formats[1][s.ID()]
}

// FormatByNumber returns the format of clients of the protocol with a number, 48 or 502, that use the serializer with a
// name. It is nil for an unknown serializer. Other numbers are read as 502.
func FormatByNumber(protocol uint32, serializer string) *Format {
	s := codec.ByName(serializer)
	switch {
	case s == nil:
		return nil
	case protocol == uint32(wire.Pyro4):
		return FormatOf(wire.Pyro4, s)
	}
	return FormatOf(wire.Pyro5, s)
}

var formatsByName = func() map[object.Format]*Format {
	m := map[object.Format]*Format{}
	for _, generation := range formats {
		for _, f := range generation {
			if f != nil && f.ID() != codec.MarshalData {
				m[f.name] = f
			}
		}
	}
	return m
}()

// ObjectCalls is the format of calls between objects. It can express most values of a script.
var ObjectCalls = FormatOf(wire.Pyro5, codec.ByID(codec.Serpent))

// Lookup returns the format with a name, nil for a name of another gateway or an unknown one. Marshal has no format:
// its calls are rejected before they are read.
func Lookup(name object.Format) *Format { return formatsByName[name] }

// Format returns the name of the format in calls, for example "pyro5/serpent".
func (f *Format) Format() object.Format { return f.name }

// Generation returns the generation of the clients.
func (f *Format) Generation() wire.Protocol { return f.generation }

// DecodeCall feeds the positional and the keyword arguments of a call's payload to the sink. See [DecodeCall].
func (f *Format) DecodeCall(_ object.CallKind, payload []byte, lim codec.Limits, sink object.Sink) error {
	return DecodeCall(f.Serializer, payload, lim, sink)
}

// DecodeBlob feeds the arguments of a call whose argument stays serialized to the sink. See [DecodeBlob].
func (f *Format) DecodeBlob(payload []byte, lim codec.Limits, sink object.Sink) error {
	return DecodeBlob(f.Serializer, payload, lim, sink)
}

// Exception returns the client's name of an exception class. See [ClassName].
func (f *Format) Exception(name string) (qualified string, ok bool) {
	return ClassName(f.generation, name)
}

// ErrorClass returns the bare class of the exception for an error, "" for none. See [ErrorClass].
func (f *Format) ErrorClass(e *object.Error) string { return ErrorClass(e) }

// BatchWrapper returns the class name of the dict that wraps an exception among the results of a batch.
//
// Source: doc/wire.md "Batches".
func (f *Format) BatchWrapper() string { return BatchWrapperClass(f.generation) }
