// Package fault describes files of the host that are not in force, and files with a mistake.
package fault

import (
	"errors"

	"github.com/hearthhost/hearth/object"
)

// Fault is a file that is not served, or another file of the host with a mistake.
type Fault struct {
	Path    string // file, "" if Err names it
	Err     error
	Warning bool // no effect yet, such as a certificate that expires soon
}

// Text returns an error's text for operators: the cause, if callers get another text.
func Text(err error) string {
	var e *object.Error
	switch {
	case !errors.As(err, &e) || e.Msg == "":
		return err.Error()
	case e.Err != nil:
		return e.Err.Error()
	}
	return e.Msg
}
