package codec

import (
	"maps"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/object"
)

// Exception is the value of an error reply.
type Exception struct {
	Class      string // qualified, for example "builtins.ValueError"
	Args       []any
	Attributes map[string]any // without the traceback
	Traceback  []string       // lines with their newlines; nil if it is withheld
}

// WriteException feeds the dict of e to the sink, with the keys in the order of Python peers. A nil traceback is
// written as Null.
//
// Source: doc/wire.md "Errors".
func WriteException(sink object.Sink, e *Exception) error {
	w := valueWriter{sink: sink}
	return w.exception(e)
}

func (w *valueWriter) exception(e *Exception) error {
	w.begin(object.DictKind, 4)
	w.text("__class__")
	w.text(e.Class)
	w.text("__exception__")
	w.value(true)
	w.text("args")
	w.sequence(object.TupleKind, e.Args)
	w.text("attributes")
	w.begin(object.DictKind, len(e.Attributes)+1)
	for _, k := range slices.Sorted(maps.Keys(e.Attributes)) {
		w.text(k)
		w.value(e.Attributes[k])
	}
	w.text(tracebackKey)
	if e.Traceback == nil {
		w.null()
	} else {
		w.begin(object.ListKind, len(e.Traceback))
		for _, line := range e.Traceback {
			w.text(line)
		}
		w.end()
	}
	w.end()
	w.end()
	return w.err
}

// tracebackKey is the attribute with the remote traceback.
const tracebackKey = "_pyroTraceback"

// asException returns the exception that a dict represents, nil for other dicts.
func asException(m map[string]any) *Exception {
	class, ok := m["__class__"].(string)
	if !ok {
		return nil
	}
	if flag, _ := m["__exception__"].(bool); !flag {
		if !object.ReservedClass(class) || !strings.Contains(class, ".errors.") {
			return nil
		}
	}
	e := &Exception{Class: class}
	switch args := m["args"].(type) {
	case []any:
		e.Args = args
	case Tuple:
		e.Args = args
	}
	e.Attributes, _ = m["attributes"].(map[string]any)
	if lines, ok := e.Attributes[tracebackKey]; ok {
		delete(e.Attributes, tracebackKey)
		e.Traceback = tracebackLines(lines)
	}
	return e
}

func tracebackLines(v any) []string {
	var items []any
	switch v := v.(type) {
	case []any:
		items = v
	case Tuple:
		items = v
	default:
		return nil
	}
	lines := make([]string, 0, len(items))
	for _, item := range items {
		if s, ok := item.(string); ok {
			lines = append(lines, s)
		}
	}
	return lines
}
