package worker

import (
	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
)

// boundedEncoder bounds the output of a serializer that escapes characters of texts. A text of control characters grows
// to six times its size. The bound is checked before the text is written: a longer document would exceed the worker's
// memory, or the frames that the host accepts.
type boundedEncoder struct {
	codec.Encoder
	max         int                         // bytes
	textBytes   int                         // written so far, without escapes
	escapeBytes int                         // added by escapes, counted from where the bound could be exceeded
	tooLong     func(max int) *object.Error // the error for a longer document
}

// escapes reports whether a serializer escapes characters of texts.
func escapes(id codec.ID) bool { return id == codec.Serpent || id == codec.JSON }

// restart counts from zero again, for an encoder that was reset.
func (w *boundedEncoder) restart() { w.textBytes, w.escapeBytes = 0, 0 }

// Text implements [object.Sink].
func (w *boundedEncoder) Text(v []byte) error {
	if w.textBytes += len(v); 6*w.textBytes > w.max {
		for _, c := range v {
			switch {
			case c >= ' ' && c != '"' && c != '\'' && c != '\\' && c != 0x7f:
			case c > ' ' && c != 0x7f || c == '\n' || c == '\r' || c == '\t':
				w.escapeBytes++
			default:
				w.escapeBytes += 5
			}
		}
		if w.textBytes+w.escapeBytes > w.max {
			return w.tooLong(w.max)
		}
	}
	return w.Encoder.Text(v)
}
