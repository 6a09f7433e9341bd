package convert

import (
	"errors"
	"github.com/hearthhost/hearth/sandbox/values"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hearthhost/hearth/sandbox/lua"

	"github.com/hearthhost/hearth/internal/unsafestr"
	"github.com/hearthhost/hearth/object"
)

// Encoder feeds Lua values to a sink. It looks at tables raw: no code of the script runs
// while it does. Not reentrant; each state has one.
type Encoder struct {
	config   Config
	types    *values.Types
	to       object.Sink
	protocol object.Protocol
	left     int          // elements that may still be written
	owed     int          // steps for what was written since the limits were checked
	bytes    int          // and bytes of texts
	most     int          // and in all
	written  int          // bytes of texts that were written in this call
	reserved int          // and that memory of the process was reserved for
	open     []*lua.Table // the tables being written, outermost first
	path     []lua.Value  // where in the value we are
	name     string       // what the path begins with
	redact   bool         // the value is an error's: no secret may be in it
	running  bool         // the script runs: the values are arguments for another object
	scratch  []lua.Value  // keys and values of the dicts being written
}

// Start prepares for values that messages call name, for example "result".
func (e *Encoder) Start(to object.Sink, p object.Protocol, name string) {
	e.to, e.protocol, e.name, e.left, e.running = to, p, name, maxElements, false
	e.open, e.path, e.scratch = e.open[:0], e.path[:0], e.scratch[:0]
}

// bufferGarbage is how many times its size a buffer leaves as garbage until it has grown to that.
const bufferGarbage = 5

// freeBuffer is how many bytes of a result no memory is reserved for.
const freeBuffer = 256 << 10

// SetTextLimit sets how many bytes of texts the values may have in all.
func (e *Encoder) SetTextLimit(n int) { e.bytes, e.most = n, n }

// Reset lets go of what the last values needed: it would be kept, uncounted, until there are others.
func (e *Encoder) Reset() {
	clear(e.open[:cap(e.open)])
	clear(e.path[:cap(e.path)])
	e.open, e.path, e.to = e.open[:0], e.path[:0], nil
	e.scratch = atRest(e.scratch)
	e.written, e.reserved = 0, freeBuffer
}

// atRest empties a list for later use. A long one is not kept.
func atRest(list []lua.Value) []lua.Value {
	if cap(list) > maxKept {
		return nil
	}
	clear(list[:cap(list)])
	return list[:0]
}

// maxKept is how many values a list at rest has room for.
const maxKept = 256

// wrongValue is a value that cannot travel; its text names what and where.
type wrongValue struct{ msg string }

func (w *wrongValue) Error() string { return w.msg }

// wrong says what is the matter with the value at the current path.
func (e *Encoder) wrong(what string) error {
	var b strings.Builder
	b.WriteString(e.name)
	for _, k := range e.path {
		switch k.Kind() {
		case lua.StringKind:
			key, _ := k.AsString()
			name := e.config.Redact(key, maxKeyBytes)
			if object.Method(name).Callable() {
				b.WriteByte('.')
				b.WriteString(name)
			} else {
				b.WriteString("[" + strconv.Quote(values.Clip(name, 40)) + "]")
			}
		case lua.NumberKind:
			b.WriteString("[" + lua.Describe(k) + "]")
		default:
			b.WriteString("[" + k.Kind().String() + "]")
		}
		if b.Len() > 200 {
			b.WriteString("…")
			break
		}
	}
	b.WriteByte(' ')
	b.WriteString(what)
	return &wrongValue{b.String()}
}

// tooMany refuses a value with more in it than a message may have.
func (e *Encoder) tooMany() error {
	return e.wrong("has more than " + strconv.Itoa(maxElements) + " values")
}

// maxKeyBytes bounds what is looked at of a name for a message, in bytes.
const maxKeyBytes = 300

// Value writes one value.
func (e *Encoder) Value(v lua.Value) error {
	if e.left--; e.left < 0 {
		return e.tooMany()
	}
	if err := e.owe(elementSteps); err != nil {
		return err
	}
	switch v.Kind() { //nolint:exhaustive // the others need nothing
	case lua.StringKind:
		text, _ := v.AsString()
		return e.text(text)
	case lua.NumberKind:
		f, _ := v.AsNumber()
		if values.Integral(f) {
			return e.to.Int(int64(f))
		}
		return e.to.Float(f)
	case lua.TableKind:
		return e.table(v.AsTable())
	case lua.BoolKind:
		return e.to.Bool(v.Truth())
	case lua.NilKind:
		return e.to.Null()
	case lua.UserDataKind:
		return e.userdata(v.AsUserData())
	}
	return e.wrong("is a " + v.Kind().String() + ": only data can be sent")
}

// elementSteps is what reading or writing one small value is worth.
const elementSteps = 10

// owe takes steps for what is written next, many at a time.
func (e *Encoder) owe(steps int) error {
	if e.owed += steps; e.owed < spendEvery*elementSteps {
		return nil
	}
	steps, e.owed = e.owed, 0
	return e.spendSteps(steps)
}

// text writes a string, which must be one.
func (e *Encoder) text(s string) error {
	s = e.shown(s)
	if err := e.spend(len(s)); err != nil {
		return err
	}
	if !utf8.ValidString(s) && !validWTF8(s) {
		return e.wrong("is a text that is not UTF-8; hearth.bytes makes bytes of it")
	}
	return e.to.Text(unsafestr.Bytes(s))
}

// shown returns a text as it may be sent.
func (e *Encoder) shown(s string) string {
	if !e.redact {
		return s
	}
	return e.config.Redact(s, e.bytes+1) // more is refused
}

// validWTF8 reports whether s is UTF-8 but for lone surrogates, each encoded as the
// three bytes that UTF-8's scheme gives them.
func validWTF8(s string) bool {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			if i+2 >= len(s) || s[i] != 0xED || s[i+1]&0xE0 != 0xA0 || s[i+2]&0xC0 != 0x80 {
				return false
			}
			n = 3
		}
		i += n
	}
	return true
}

// spendSteps takes steps for writing. If the script has run, a limit that this spends ends the instance, as the
// call had its effects and has no result.
func (e *Encoder) spendSteps(steps int) error {
	if err := e.config.Meter.Spend(steps); err != nil {
		return e.limit(err)
	}
	return nil
}

// limit returns the error of a limit that writing has spent.
func (e *Encoder) limit(err *object.Error) error {
	if e.running { // it ends when it continues
		return err
	}
	limit := *err
	msg, _, _ := strings.Cut(limit.Msg, ";")
	limit.Msg = msg + " while the result was written; the call was executed"
	e.config.Meter.SetErr(&limit)
	e.config.OnLimit(&limit)
	return &limit
}

// spend takes the bytes of a text before it is written.
func (e *Encoder) spend(n int) error {
	if err := e.owe(n >> 2); err != nil {
		return err
	}
	e.config.Thread.VM().Allocated += bufferGarbage * int64(n)
	if e.written += n; e.written > e.reserved {
		more := max(e.reserved, freeBuffer)
		if err := e.config.Meter.Reserve(2 * int64(more)); err != nil { // a buffer that grows is there twice
			return e.limit(err)
		}
		e.reserved += more
	}
	if e.bytes -= n; e.bytes < 0 {
		return e.wrong("has more than " + strconv.Itoa(e.most) + " bytes in all")
	}
	return nil
}

func (e *Encoder) userdata(ud *lua.UserData) error {
	switch v := ud.Value.(type) {
	case values.Null:
		return e.to.Null()
	case values.Bytes:
		s := e.shown(string(v))
		if err := e.spend(len(s)); err != nil {
			return err
		}
		return e.to.Bytes(unsafestr.Bytes(s))
	case *big.Int:
		if v.IsInt64() {
			return e.to.Int(v.Int64())
		}
		if err := e.owe(values.IntegerTextSteps(v)); err != nil {
			return err
		}
		digits := v.Append(nil, 10)
		if err := e.spend(len(digits)); err != nil {
			return err
		}
		return e.to.BigInt(digits)
	case values.Float:
		return e.to.Float(float64(v))
	case complex128:
		return e.to.Complex(v)
	case values.DateTime:
		return e.to.DateTime(float64(v))
	case values.Date:
		return e.to.Date(int64(v))
	case *values.Stream:
		return e.wrong("is an item stream, which can only be a method's whole result")
	case *values.Proxy:
		return e.wrong("is a proxy of hearth.proxy, which works in this object only")
	}
	return e.wrong("is a userdata")
}

// table writes a table as what its mark says. Without one it is a list if its keys are
// exactly 1 to n, or if it is empty, and a dict otherwise.
func (e *Encoder) table(t *lua.Table) error {
	for _, o := range e.open {
		if o == t {
			return e.wrong("is a table that contains itself")
		}
	}
	if len(e.open) >= maxDepth {
		return e.wrong("is nested deeper than " + strconv.Itoa(maxDepth))
	}
	if err := e.owe(elementSteps + t.Room()>>2); err != nil { // holes are passed one by one
		return err
	}
	e.open = append(e.open, t)
	var err error
	switch mt := e.types; t.Meta {
	case mt.List:
		err = e.sequence(object.ListKind, t)
	case mt.Tuple:
		err = e.sequence(object.TupleKind, t)
	case mt.Set:
		err = e.sequence(object.SetKind, t)
	case mt.Dict:
		err = e.dict(t)
	case mt.Exception:
		err = e.exception(t)
	case mt.Keywords:
		err = e.wrong("is made by hearth.kw, which belongs at the end of a proxy call's arguments")
	default:
		if e.isSequence(t) {
			err = e.sequence(object.ListKind, t)
		} else {
			err = e.dict(t)
		}
	}
	if err == nil {
		e.open = e.open[:len(e.open)-1]
	}
	return err
}

// length returns the length of a table.
func (e *Encoder) length(t *lua.Table) int {
	n, steps := t.Border()
	e.owed += steps
	return n
}

// isSequence reports whether the keys of t are exactly 1 to n.
func (e *Encoder) isSequence(t *lua.Table) bool {
	n := e.length(t)
	if !onlyUpTo(t, n) {
		return false
	}
	for i := 1; i < n; i++ {
		if t.GetInt(i).IsNil() {
			return false
		}
	}
	return true
}

// onlyUpTo reports whether t has no key but whole numbers from 1 to n, its length.
func onlyUpTo(t *lua.Table, n int) bool {
	last := lua.Nil
	if n > 0 {
		last = lua.Int(n)
	}
	key, _, _ := t.Next(last)
	return key.IsNil()
}

// sequence writes the elements 1 to n of t. A gap is None.
func (e *Encoder) sequence(k object.Kind, t *lua.Table) error {
	n := e.length(t)
	if !onlyUpTo(t, n) {
		return e.wrong("is a " + k.String() + " with other keys than positions")
	}
	if n > e.left {
		return e.tooMany()
	}
	if err := e.to.Begin(k, n); err != nil {
		return err
	}
	p := len(e.path)
	e.path = append(e.path, lua.Nil)
	for i := 1; i <= n; i++ {
		e.path[p] = lua.Int(i)
		if err := e.Value(t.GetInt(i)); err != nil {
			return err
		}
	}
	e.path = e.path[:p]
	return e.to.End()
}

// dict writes a table as a dict, in the order in which its text keys were first set.
func (e *Encoder) dict(t *lua.Table) error {
	base := len(e.scratch)
	for k, v := range t.All() {
		if e.scratch = append(e.scratch, k, v); len(e.scratch)-base > 2*e.left {
			return e.tooMany()
		}
	}
	end := len(e.scratch)
	class, _ := t.GetString(ClassKey).AsString()
	if err := e.to.Begin(object.DictKind, (end-base)/2); err != nil {
		return err
	}
	p := len(e.path)
	e.path = append(e.path, lua.Nil)
	for i := base; i < end; i += 2 {
		k, v := e.scratch[i], e.scratch[i+1]
		e.path[p] = k
		if err := e.key(k); err != nil {
			return err
		}
		if class != "" {
			v = e.classField(class, k, v)
		}
		if err := e.Value(v); err != nil {
			return err
		}
	}
	e.path = e.path[:p]
	e.scratch = e.scratch[:base]
	return e.to.End()
}

// classField translates a field of a dict that stands for an object into the words of
// the peer's generation.
func (e *Encoder) classField(class string, k, v lua.Value) lua.Value {
	switch key, _ := k.AsString(); key {
	case ClassKey:
		return lua.String(e.className(class))
	case "state":
		if state := v.AsTable(); state != nil {
			if other, ok := e.proxyState(class, state); ok {
				return other.Value()
			}
		}
	}
	return v
}

// key writes a dict's key: texts, numbers, booleans, tuples, and the values of hearth
// that Python can hash.
func (e *Encoder) key(k lua.Value) error {
	if t := k.AsTable(); t != nil && t.Meta != e.types.Tuple {
		return e.wrong("has a table for its key; only a tuple can be one")
	}
	return e.Value(k)
}

// exception writes an exception of hearth.exception as a value.
func (e *Encoder) exception(t *lua.Table) error {
	class, args, message := e.types.ExceptionParts(t)
	qualified, args := e.config.Qualify(class, args, message)
	return e.exceptionDict(qualified, args, nil)
}

// exceptionDict writes an exception in the shape in which Python peers exchange them,
// keys in their order. A trace of nil is None.
//
// Source: doc/wire.md "Errors".
func (e *Encoder) exceptionDict(class string, args []lua.Value, trace []string) error {
	if e.left -= exceptionValues; e.left < 0 {
		return e.tooMany()
	}
	if err := e.owe(exceptionValues * elementSteps); err != nil {
		return err
	}
	if err := e.spend(exceptionBytes); err != nil {
		return err
	}
	w := SinkWriter{To: e.to}
	w.Begin(object.DictKind, 4)
	w.Text(ClassKey)
	w.Text(e.shown(class))
	w.Text("__exception__")
	w.Do(func() error { return e.to.Bool(true) })
	w.Text("args")
	w.Begin(object.TupleKind, len(args))
	p := len(e.path)
	e.path = append(e.path, lua.Nil)
	for i, a := range args {
		w.Do(func() error {
			e.path[p] = lua.Int(i + 1)
			return e.Value(a)
		})
	}
	w.End()
	w.Text("attributes")
	w.Begin(object.DictKind, 1)
	w.Text("_pyroTraceback")
	if trace == nil {
		w.Do(e.to.Null)
	} else {
		w.Begin(object.ListKind, len(trace))
		for _, line := range trace {
			w.Text(e.shown(line))
		}
		w.End()
	}
	w.End()
	w.End()
	if w.Err == nil {
		e.path = e.path[:p] // or it says which argument was wrong
	}
	return w.Err
}

// Arguments writes the tuple and the dict of a call that the running script makes. kwargs may be nil.
func (e *Encoder) Arguments(to object.Sink, args []lua.Value, kwargs *lua.Table) error {
	e.Start(to, object.Pyro5, "argument")
	e.running = true
	if err := to.Begin(object.TupleKind, len(args)); err != nil {
		return err
	}
	e.path = append(e.path, lua.Nil)
	for i, a := range args {
		e.path[0] = lua.Int(i + 1)
		if err := e.Value(a); err != nil {
			return err
		}
	}
	e.path = e.path[:0]
	if err := to.End(); err != nil {
		return err
	}
	if kwargs == nil {
		return to.Null()
	}
	if err := e.owe(kwargs.Room() >> 1); err != nil {
		return err
	}
	for k := range kwargs.All() {
		if k.Kind() != lua.StringKind {
			return &wrongValue{"the keys of hearth.kw must be texts"}
		}
	}
	e.name = "keyword argument"
	return e.dict(kwargs)
}

// Results writes the values on the stack of L as one: no value is None, several values are a tuple.
func (e *Encoder) Results(L *lua.Thread) error {
	n := L.Top()
	switch n {
	case 0:
		return e.to.Null()
	case 1:
		return e.Value(L.Get(1))
	}
	if err := e.to.Begin(object.TupleKind, n); err != nil {
		return err
	}
	e.path = append(e.path, lua.Nil)
	for i := 1; i <= n; i++ {
		e.path[0] = lua.Int(i)
		if err := e.Value(L.Get(i)); err != nil {
			return err
		}
	}
	e.path = e.path[:0]
	return e.to.End()
}

// An exception has these values and bytes of text besides its arguments.
const (
	exceptionValues = 12
	exceptionBytes  = 60
)

// SinkWriter writes fixed structure and remembers the first error.
type SinkWriter struct {
	To  object.Sink
	Err error
}

func (w *SinkWriter) Do(f func() error) {
	if w.Err == nil {
		w.Err = f()
	}
}

func (w *SinkWriter) Text(s string) {
	if w.Err == nil {
		w.Err = w.To.Text(unsafestr.Bytes(s))
	}
}

func (w *SinkWriter) Begin(k object.Kind, n int) {
	if w.Err == nil {
		w.Err = w.To.Begin(k, n)
	}
}

func (w *SinkWriter) End() { w.Do(w.To.End) }

// located puts the place in front of a sink's refusal, so that the author of the script
// learns which value it was.
func (e *Encoder) located(err error) error {
	var w *wrongValue
	var o *object.Error
	if errors.As(err, &w) || !errors.As(err, &o) || o.Code != object.CodeInvalid || len(e.path) == 0 {
		return err
	}
	return e.wrong("cannot be sent: " + o.Msg)
}

// Failure returns class and message of the exception for a value that cannot be sent.
func (e *Encoder) Failure(err error) (class, msg string, ok bool) {
	err = e.located(err)
	var w *wrongValue
	if errors.As(err, &w) {
		return "TypeError", w.msg, true
	}
	var o *object.Error
	if errors.As(err, &o) && o.Code == object.CodeInvalid {
		if o.Class == "" {
			return "TypeError", o.Msg, true
		}
		return o.Class, o.Msg, true
	}
	return "", "", false
}

// Unsendable returns the reason if err is about a value that cannot be sent.
func Unsendable(err error) (reason string, ok bool) {
	var w *wrongValue
	if errors.As(err, &w) {
		return w.msg, true
	}
	return "", false
}

// Exception writes an exception as the value of its own, with the traceback. No text in it holds a secret.
func (e *Encoder) Exception(class string, args []lua.Value, trace []string) error {
	e.redact = true
	defer func() { e.redact = false }()
	return e.exceptionDict(class, args, trace)
}
