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
	max         int // bytes
	textBytes   int // written so far, without escapes
	escapeBytes int // added by escapes, counted from where the bound could be exceeded
	arguments   bool
}

// escapes reports whether a serializer escapes characters of texts.
func escapes(id codec.ID) bool { return id == codec.Serpent || id == codec.JSON }

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
			if w.arguments {
				return argumentsTooLong(w.max)
			}
			return resultTooLong(w.max)
		}
	}
	return w.Encoder.Text(v)
}

// resultTooLong is the error for a result of more than max bytes.
func resultTooLong(max int) *object.Error {
	return object.Errorf(object.CodeTooLarge,
		"limit exceeded: the result takes more than %d bytes once it is written; it was executed", max)
}

// argumentsTooLong is the error for the arguments of an object call of more than max bytes.
func argumentsTooLong(max int) *object.Error {
	return object.Errorf(object.CodeTooLarge,
		"limit exceeded: the arguments take more than %d bytes once they are written; not executed", max)
}
