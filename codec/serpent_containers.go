package codec

import (
	"github.com/hearthhost/hearth/object"
)

func (r *serpentReader) enter(depth int) error {
	if depth >= r.lim.Depth {
		return tooDeep(r.lim.Depth)
	}
	r.pos++
	return nil
}

func (r *serpentReader) list(sink object.Sink, depth int) error {
	if err := r.enter(depth); err != nil {
		return err
	}
	more, err := r.next(0, ']')
	if err != nil {
		return err
	}
	if !more {
		return emitEmpty(sink, object.ListKind)
	}
	if err := sink.Begin(object.ListKind, -1); err != nil {
		return err
	}
	return r.readElements(0, ']', object.ListKind, sink, depth, false)
}

// readElements reads the elements of a container from number i up to its end. The reader is in front of element 0, or
// behind element i-1. The elements of a set and the keys of a dict must be hashable. Of a dict, the elements are its
// keys; i is at least 1, and the value of key i-1 comes next.
func (r *serpentReader) readElements(i int, end byte, k object.Kind, sink object.Sink, depth int, hash bool) error {
	for ; ; i++ {
		if k == object.DictKind {
			if err := r.colon(); err != nil {
				return err
			}
			if err := r.value(sink, depth+1, false); err != nil {
				return err
			}
		}
		more, err := r.next(i, end)
		if err != nil {
			return err
		}
		if !more {
			return sink.End()
		}
		if err := r.charge(); err != nil {
			return err
		}
		if err := r.value(sink, depth+1, hash); err != nil {
			return err
		}
	}
}

// parenthesis reads a tuple or, unless tuple is set, a scalar in parentheses. A container in parentheses is rejected:
// no writer produces it.
func (r *serpentReader) parenthesis(sink object.Sink, depth int, hash, tuple bool) error {
	if err := r.enter(depth); err != nil {
		return err
	}
	more, err := r.next(0, ')')
	if err != nil {
		return err
	}
	if !more {
		return emitEmpty(sink, object.TupleKind)
	}
	if c := r.current(); c != '(' && c != '[' && c != '{' {
		if err := r.scalar(); err != nil {
			return err
		}
		if c, err := r.peek(); err != nil {
			return err
		} else if c == ')' && !tuple {
			r.pos++
			return r.emit(sink)
		}
		err = r.beginWithToken(object.TupleKind, sink)
	} else if err = sink.Begin(object.TupleKind, -1); err == nil {
		err = r.charge()
		if err == nil {
			err = r.value(sink, depth+1, hash)
		}
	}
	if err != nil {
		return err
	}
	if c, err := r.peek(); err != nil {
		return err
	} else if c != ',' {
		return r.syntaxError("a comma must follow the first element of a tuple")
	}
	return r.readElements(1, ')', object.TupleKind, sink, depth, hash)
}

// beginWithToken opens a container and feeds its first element, which was kept in tok.
func (r *serpentReader) beginWithToken(k object.Kind, sink object.Sink) error {
	if err := r.charge(); err != nil {
		return err
	}
	if err := sink.Begin(k, -1); err != nil {
		return err
	}
	return r.emit(sink)
}

// brace reads a dict or, unless dict is set, a set.
func (r *serpentReader) brace(sink object.Sink, depth int, dict bool) error {
	start := r.pos
	if err := r.enter(depth); err != nil {
		return err
	}
	more, err := r.next(0, '}')
	if err != nil {
		return err
	}
	if !more {
		return emitEmpty(sink, object.DictKind)
	}
	kind := object.DictKind
	if r.current() == '(' {
		back := r.pos
		if err := r.skipTuple(); err != nil {
			return err
		}
		c, err := r.peek()
		if err != nil {
			return err
		}
		if c != ':' {
			kind = object.SetKind
		}
		r.pos = back
		if kind == object.SetKind && dict {
			return invalid(object.ReasonType, "set instead of a dict (byte %d)", start)
		}
		if err := sink.Begin(kind, -1); err != nil {
			return err
		}
		if err := r.charge(); err != nil {
			return err
		}
		if err := r.value(sink, depth+1, true); err != nil {
			return err
		}
	} else {
		if r.current() == '[' {
			return r.unhashable(object.ListKind)
		}
		if r.current() == '{' {
			return r.unhashable(object.DictKind)
		}
		if err := r.scalar(); err != nil {
			return err
		}
		c, err := r.peek()
		if err != nil {
			return err
		}
		if c != ':' {
			kind = object.SetKind
			if dict {
				return invalid(object.ReasonType, "set instead of a dict (byte %d)", start)
			}
		}
		if err := r.beginWithToken(kind, sink); err != nil {
			return err
		}
	}
	return r.readElements(1, '}', kind, sink, depth, true)
}

// colon reads the colon behind a key and charges the value that follows.
func (r *serpentReader) colon() error {
	c, err := r.peek()
	if err != nil {
		return err
	}
	if c != ':' {
		return r.syntaxError("a colon is missing")
	}
	r.pos++
	return r.charge()
}

// skipTuple moves behind the tuple that starts here. The tuple must be hashable: a brace inside is an error, so no
// byte is skipped twice. It reads only brackets and quotes.
func (r *serpentReader) skipTuple() error {
	for open := 0; ; {
		c, err := r.peek()
		if err != nil {
			return err
		}
		switch c {
		case 0:
			return r.syntaxError("a bracket is not closed")
		case '[':
			return r.unhashable(object.ListKind)
		case '{':
			return r.unhashable(object.DictKind)
		case '\'', '"':
			if _, err := r.text(false); err != nil {
				return err
			}
			continue
		case '(':
			open++
		case ')':
			open--
		}
		r.pos++
		if open == 0 {
			return nil
		}
	}
}
