// Package bounded bounds the length of a document while a serializer writes it.
//
// Serializers that escape characters can write a document that is six times as long as the texts in it. [Encoder] wraps
// such a serializer and returns an error before the document exceeds the bound. The length of a document of another
// serializer is known well enough from its values; its owner checks it afterwards.
package bounded

import (
	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
)

// Encoder bounds the output of a serializer that escapes characters of texts. A text of control characters grows
// to six times its size. The bound is checked before the text is written: a longer document would exceed the worker's
// memory, or the frames that the host accepts.
type Encoder struct {
	codec.Encoder
	Max         int                         // longest document, in bytes
	textBytes   int                         // written so far, without escapes
	escapeBytes int                         // added by escapes, counted from where the bound could be exceeded
	TooLong     func(max int) *object.Error // the error for a longer document
}

// Escapes reports whether a serializer escapes characters of texts.
func Escapes(id codec.ID) bool { return id == codec.Serpent || id == codec.JSON || id == codec.WebJSON }

// Restart counts from zero again, for an encoder that was reset.
func (w *Encoder) Restart() { w.textBytes, w.escapeBytes = 0, 0 }

// Text implements [object.Sink].
func (w *Encoder) Text(v []byte) error {
	if w.textBytes += len(v); 6*w.textBytes > w.Max {
		for _, c := range v {
			switch {
			case c >= ' ' && c != '"' && c != '\'' && c != '\\' && c != 0x7f:
			case c > ' ' && c != 0x7f || c == '\n' || c == '\r' || c == '\t':
				w.escapeBytes++
			default:
				w.escapeBytes += 5
			}
		}
		if w.textBytes+w.escapeBytes > w.Max {
			return w.TooLong(w.Max)
		}
	}
	return w.Encoder.Text(v)
}
