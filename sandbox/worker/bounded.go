package worker

import (
	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
)

// boundedEncoder is the encoder of a serializer that escapes characters of texts. It refuses a
// result, or arguments, before that makes them longer than a frame may be: a text of control
// characters takes up to six times its size, which would otherwise cost the worker its
// memory, or the host's trust.
type boundedEncoder struct {
	codec.Encoder
	max   int // bytes
	textBytes int // so far, as they are
	escapeBytes  int // what escaping adds, counted from where it might matter
	arguments  bool
}

// escapes reports whether a serializer makes texts longer.
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

// resultTooLong refuses a result of a frame that would be longer than max.
func resultTooLong(max int) *object.Error {
	return object.Errorf(object.CodeTooLarge, "limit exceeded: the result takes more than %d bytes once it is written; it was executed", max)
}

// argumentsTooLong is tooLong for what a script passes to another object.
func argumentsTooLong(max int) *object.Error {
	return object.Errorf(object.CodeTooLarge, "limit exceeded: the arguments take more than %d bytes once they are written; not executed", max)
}
