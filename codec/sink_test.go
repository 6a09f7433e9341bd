package codec_test

import (
	"github.com/hearthhost/hearth/object"
)

// countSink counts values and bytes.
type countSink struct {
	pyNone
	values, bytes int
}

func (c *countSink) Null() error          { c.values++; return nil }
func (c *countSink) Int(int64) error      { c.values++; return nil }
func (c *countSink) Text(v []byte) error  { c.values++; c.bytes += len(v); return nil }
func (c *countSink) Bytes(v []byte) error { c.values++; c.bytes += len(v); return nil }
func (c *countSink) Begin(object.Kind, int) error {
	c.values++
	return nil
}

// pyNone discards all values.
type pyNone struct{}

func (pyNone) Null() error                  { return nil }
func (pyNone) Bool(bool) error              { return nil }
func (pyNone) Int(int64) error              { return nil }
func (pyNone) BigInt([]byte) error          { return nil }
func (pyNone) Float(float64) error          { return nil }
func (pyNone) Complex(complex128) error     { return nil }
func (pyNone) Text([]byte) error            { return nil }
func (pyNone) Bytes([]byte) error           { return nil }
func (pyNone) DateTime(float64) error       { return nil }
func (pyNone) Date(int64) error             { return nil }
func (pyNone) Begin(object.Kind, int) error { return nil }
func (pyNone) End() error                   { return nil }
