package sdk

import (
	"sync"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/codec/web"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins/rpc"
)

// format reads and writes the payloads of one kind of clients. Implementations are immutable.
type format interface {
	DecodeCall(kind object.CallKind, payload []byte, lim codec.Limits, sink object.Sink) error
	NewEncoder(buf []byte) codec.Encoder
	// Exception returns the client's name of an exception class.
	Exception(name string) (qualified string, ok bool)
	// BatchWrapper returns the class of the dict that wraps an exception among the results of a batch.
	BatchWrapper() string
}

// formatOf returns the format of a call, nil for an unknown serializer.
func formatOf(r *rpc.CallRequest) format {
	if f := web.Lookup(object.Format(r.GetSerializer())); f != nil {
		return f
	}
	if f := pyro.FormatByNumber(r.GetProtocol(), r.GetSerializer()); f != nil {
		return f
	}
	return nil
}

// encodeValue returns the document of a value.
func encodeValue(f format, v any) ([]byte, error) {
	e := f.NewEncoder(nil)
	if err := codec.Write(e, v); err != nil {
		return nil, err
	}
	return e.Document()
}

// Bounds on the memory that the arguments of calls take. It is an estimate, within a factor of two.
const (
	maxArguments    = 64 << 20  // bytes, of one call
	maxAllArguments = 256 << 20 // bytes, of all running calls
	valueBytes      = 32        // of a value in addition to its content
	containerBytes  = 96        // of a container in addition to its elements
)

// arguments are the decoded arguments of a call.
type arguments struct {
	args   []any
	kwargs Kwargs
	size   int64 // see memory
}

// memory counts the bytes of the arguments of running calls.
type memory struct {
	mu   sync.Mutex // guards used
	used int64
}

func (m *memory) take(n int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.used+n > maxAllArguments {
		return false
	}
	m.used += n
	return true
}

func (m *memory) release(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used -= n
}

// decode returns the arguments of a call. The caller releases their size.
func (m *memory) decode(f format, r *rpc.CallRequest) (arguments, error) {
	b := &boundedBuilder{memory: m}
	err := f.DecodeCall(object.CallKind(r.GetKind()), r.GetPayload(), codec.Limits{}, b)
	a := arguments{size: b.size}
	if err == nil {
		a.args, a.kwargs, err = pyro.Arguments(b.Values())
	}
	if err != nil {
		m.release(b.size)
		return arguments{}, err
	}
	return a, nil
}

// boundedBuilder is a [codec.Builder] within the bounds of memory.
type boundedBuilder struct {
	codec.Builder
	memory *memory
	size   int64 // taken from memory
	left   int64 // of the part that was taken in advance
}

// takeBytes is the part of memory that a builder takes at a time.
const takeBytes = 64 << 10

func (b *boundedBuilder) charge(n int) error {
	b.left -= int64(n)
	if b.left >= 0 {
		return nil
	}
	part := max(takeBytes, -b.left)
	switch {
	case b.size+part > maxArguments:
		return object.Errorf(object.CodeTooLarge,
			"limit exceeded: the arguments take more than %d MiB of memory; not executed", maxArguments>>20)
	case !b.memory.take(part):
		return object.Errorf(object.CodeExhausted,
			"limit exceeded: the arguments of running calls take more than %d MiB of memory; not executed, try again",
			maxAllArguments>>20)
	}
	b.size += part
	b.left += part
	return nil
}

// The methods of [object.Sink] charge for a value before they add it.

func (b *boundedBuilder) Null() error {
	if err := b.charge(valueBytes); err != nil {
		return err
	}
	return b.Builder.Null()
}

func (b *boundedBuilder) Bool(v bool) error {
	if err := b.charge(valueBytes); err != nil {
		return err
	}
	return b.Builder.Bool(v)
}

func (b *boundedBuilder) Int(v int64) error {
	if err := b.charge(valueBytes); err != nil {
		return err
	}
	return b.Builder.Int(v)
}

func (b *boundedBuilder) BigInt(decimal []byte) error {
	if err := b.charge(containerBytes + len(decimal)); err != nil {
		return err
	}
	return b.Builder.BigInt(decimal)
}

func (b *boundedBuilder) Float(v float64) error {
	if err := b.charge(valueBytes); err != nil {
		return err
	}
	return b.Builder.Float(v)
}

func (b *boundedBuilder) Complex(v complex128) error {
	if err := b.charge(valueBytes); err != nil {
		return err
	}
	return b.Builder.Complex(v)
}

func (b *boundedBuilder) Text(v []byte) error {
	if err := b.charge(valueBytes + len(v)); err != nil {
		return err
	}
	return b.Builder.Text(v)
}

func (b *boundedBuilder) Bytes(v []byte) error {
	if err := b.charge(valueBytes + len(v)); err != nil {
		return err
	}
	return b.Builder.Bytes(v)
}

func (b *boundedBuilder) DateTime(v float64) error {
	if err := b.charge(2 * valueBytes); err != nil {
		return err
	}
	return b.Builder.DateTime(v)
}

func (b *boundedBuilder) Date(day int64) error {
	if err := b.charge(valueBytes); err != nil {
		return err
	}
	return b.Builder.Date(day)
}

func (b *boundedBuilder) Begin(k object.Kind, n int) error {
	size := containerBytes
	if k == object.DictKind || k == object.SetKind {
		size = 4 * containerBytes // a map
	}
	if err := b.charge(size); err != nil {
		return err
	}
	return b.Builder.Begin(k, n)
}
