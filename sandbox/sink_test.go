package sandbox_test

import (
	"github.com/hearthhost/hearth/object"
)

// nothing is a sink that discards all values.
type nothing struct{}

func (nothing) Null() error                  { return nil }
func (nothing) Bool(bool) error              { return nil }
func (nothing) Int(int64) error              { return nil }
func (nothing) BigInt([]byte) error          { return nil }
func (nothing) Float(float64) error          { return nil }
func (nothing) Complex(complex128) error     { return nil }
func (nothing) Text([]byte) error            { return nil }
func (nothing) Bytes([]byte) error           { return nil }
func (nothing) DateTime(float64) error       { return nil }
func (nothing) Date(int64) error             { return nil }
func (nothing) Begin(object.Kind, int) error { return nil }
func (nothing) End() error                   { return nil }

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
