package codec

import (
	"github.com/hearthhost/hearth/object"
)

// invalid returns an error of the document.
func invalid(reason object.Reason, format string, args ...any) error {
	e := object.Errorf(object.CodeInvalid, format, args...)
	e.Reason = reason
	return e
}

func tooDeep(limit int) error {
	return object.Errorf(object.CodeTooLarge, "containers nest deeper than %d", limit)
}

func tooMany(limit int) error {
	return object.Errorf(object.CodeTooLarge, "more than %d elements", limit)
}

func tooLong(limit int) error {
	return object.Errorf(object.CodeTooLarge, "integer of more than %d digits", limit)
}

// wrongCount returns the error of Python when it unpacks a sequence of the wrong length.
func wrongCount(want, got int) error {
	if got < want {
		return invalid(object.ReasonValue, "not enough values to unpack (expected %d, got %d)", want, got)
	}
	return invalid(object.ReasonValue, "too many values to unpack (expected %d)", want)
}
