package web

import (
	"github.com/hearthhost/hearth/codec"
)

// Exception is an exception in a reply.
type Exception struct {
	Class     string   // without a module for Python's own classes
	Message   string   // the first argument, in JSON unless it is a text
	Traceback []string // lines; nil if it is withheld
}

// ScanException returns the exception of a reply whose payload is an exception dict.
func ScanException(payload []byte) (*Exception, error) {
	r := newReader(payload, codec.Limits{})
	if r.peek() != '{' {
		return nil, r.syntaxError("an exception must follow")
	}
	e := new(Exception)
	err := r.members(func(key string) (err error) {
		switch key {
		case "__class__":
			e.Class, err = r.word()
		case "args":
			err = r.firstArgument(e)
		case "attributes":
			err = r.members(func(key string) error {
				if key != "_pyroTraceback" || r.peek() != '[' {
					return r.value(codec.Discard, 2)
				}
				return r.traceback(e)
			})
		default:
			err = r.value(codec.Discard, 1)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return e, r.end()
}

// members reads a dict and calls read at each value.
func (r *reader) members(read func(key string) error) error {
	if r.peek() != '{' {
		return r.value(codec.Discard, 1)
	}
	r.pos++
	known := keySet{r: r, first: len(r.keys)}
	for i := 0; ; i++ {
		more, err := r.more(i, '}')
		if err != nil || !more {
			r.keys = r.keys[:known.first]
			return err
		}
		key, err := r.key(&known)
		if err != nil {
			return err
		}
		if err := read(string(key)); err != nil {
			return err
		}
	}
}

// word returns the next value, which must be a text.
func (r *reader) word() (string, error) {
	if r.peek() != '"' {
		return "", r.syntaxError("a text must follow")
	}
	b, err := r.text()
	return string(b), err
}

// firstArgument reads the arguments of an exception.
func (r *reader) firstArgument(e *Exception) error {
	if r.peek() != '[' {
		return r.value(codec.Discard, 1)
	}
	r.pos++
	for i := 0; ; i++ {
		more, err := r.more(i, ']')
		if err != nil || !more {
			return err
		}
		if i == 0 && r.peek() == '"' {
			e.Message, err = r.word()
		} else {
			start := r.pos
			err = r.value(codec.Discard, 2)
			if i == 0 {
				e.Message = string(r.doc[start:r.pos])
			}
		}
		if err != nil {
			return err
		}
	}
}

// traceback reads the lines of a traceback.
func (r *reader) traceback(e *Exception) error {
	r.pos++
	for i := 0; ; i++ {
		more, err := r.more(i, ']')
		if err != nil || !more {
			return err
		}
		line, err := r.word()
		if err != nil {
			return err
		}
		e.Traceback = append(e.Traceback, line)
	}
}
