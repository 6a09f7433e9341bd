package convert

import (
	"errors"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hearthhost/hearth/internal/unsafestr"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/values"
)

// Encoder writes Lua values to a sink. It reads tables without metamethods, so no code of the script runs. It is not
// reentrant.
type Encoder struct {
	config        Config
	types         *values.Types
	to            object.Sink
	classes       Classes      // of the peer
	remaining     int          // number of elements that may still be written
	pendingSteps  int          // steps that are not yet charged
	textLeft      int          // remaining bytes of texts
	textLimit     int          // limit of bytes of texts
	textBytes     int          // bytes of texts written in this call
	reservedBytes int          // bytes for which memory of the process is reserved
	openTables    []*lua.Table // the open tables, outermost first
	path          []lua.Value  // position in the value
	name          string       // beginning of the path in messages
	redact        bool         // the value belongs to an error: secrets are removed
	running       bool         // the script is running: the values stay inside the host
	location      string       // address of the host that the caller used, "" for one inside the host
	scratch       []lua.Value  // keys and values of the open dicts
}

// Start prepares the Encoder for values that a peer with these classes receives. name begins the path in error
// messages, for example "result".
func (e *Encoder) Start(to object.Sink, classes Classes, name string) {
	e.to = to
	e.classes = classes
	e.name = name
	e.remaining = maxElements
	e.running = false
	e.openTables = e.openTables[:0]
	e.path = e.path[:0]
	e.scratch = e.scratch[:0]
}

// bufferGarbage is the garbage of a growing buffer, as a multiple of its final size.
const bufferGarbage = 5

// freeBuffer is the size of a result, in bytes, up to which no memory is reserved.
const freeBuffer = 256 << 10

// SetLocation sets the address of the host that the caller used, in the form of a Pyro URI. It is that of proxies in
// results.
func (e *Encoder) SetLocation(location string) { e.location = location }

// proxies are the classes of a peer that has proxies.
type proxies interface {
	// WriteProxy writes a proxy of an object of this host. location is the address that the peer used, "" for a value
	// that stays inside.
	WriteProxy(to object.Sink, id object.ID, location string) error
	// ProxyURI returns the URI in the state of a proxy of a class for such a peer.
	ProxyURI(class, uri, location string) string
}

// proxyBytes is the size of a proxy without the object's id, in bytes of texts.
const proxyBytes = 200

// proxy writes a proxy of hearth.proxy. The peer's calls by it are authorized as the peer.
func (e *Encoder) proxy(p *values.Proxy) error {
	to, ok := e.classes.(proxies)
	if !ok {
		return e.unsendable("is a proxy of hearth.proxy, which this caller cannot use")
	}
	if err := e.spend(len(p.To) + proxyBytes); err != nil {
		return err
	}
	return to.WriteProxy(e.to, p.To, e.outside())
}

// outside returns the location for values that are written now.
func (e *Encoder) outside() string {
	if e.running {
		return ""
	}
	return e.location
}

// SetTextLimit sets the limit of texts of all values together, in bytes.
func (e *Encoder) SetTextLimit(n int) { e.textLeft, e.textLimit = n, n }

// Reset drops the last values. Otherwise they would be retained, uncounted, until the next use.
func (e *Encoder) Reset() {
	clear(e.openTables[:cap(e.openTables)])
	clear(e.path[:cap(e.path)])
	e.openTables = e.openTables[:0]
	e.path = e.path[:0]
	e.to = nil
	e.scratch = emptied(e.scratch)
	e.textBytes, e.reservedBytes = 0, freeBuffer
}

// emptied returns a list without elements for later use, or nil if its capacity is large.
func emptied(list []lua.Value) []lua.Value {
	if cap(list) > maxKept {
		return nil
	}
	clear(list[:cap(list)])
	return list[:0]
}

// maxKept is the capacity up to which an emptied list is retained.
const maxKept = 256

// unsendableValue is the error for a value that cannot be sent. Its text names the value and the reason.
type unsendableValue struct{ msg string }

func (w *unsendableValue) Error() string { return w.msg }

// unsendable returns the error for the value at the current path.
func (e *Encoder) unsendable(what string) error {
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
	return &unsendableValue{b.String()}
}

// tooMany returns the error for a value with too many elements.
func (e *Encoder) tooMany() error {
	return e.unsendable("has more than " + strconv.Itoa(maxElements) + " values")
}

// maxKeyBytes limits the part of a key that is read for a message, in bytes.
const maxKeyBytes = 300

// Value writes one value.
func (e *Encoder) Value(v lua.Value) error {
	e.remaining--
	if e.remaining < 0 {
		return e.tooMany()
	}
	if err := e.chargeLater(elementSteps); err != nil {
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
	return e.unsendable("is a " + v.Kind().String() + ": only data can be sent")
}

// elementSteps are the steps of reading or writing a small value.
const elementSteps = 10

// chargeLater charges for values that are written next, for many at a time.
func (e *Encoder) chargeLater(steps int) error {
	e.pendingSteps += steps
	if e.pendingSteps < spendEvery*elementSteps {
		return nil
	}
	steps, e.pendingSteps = e.pendingSteps, 0
	return e.spendSteps(steps)
}

// text writes a string, which must be UTF-8.
func (e *Encoder) text(s string) error {
	s = e.redacted(s)
	if err := e.spend(len(s)); err != nil {
		return err
	}
	if !utf8.ValidString(s) && !validWTF8(s) {
		return e.unsendable("is a text that is not UTF-8; hearth.bytes makes bytes of it")
	}
	return e.to.Text(unsafestr.Bytes(s))
}

// redacted removes secrets from a text of an error.
func (e *Encoder) redacted(s string) string {
	if !e.redact {
		return s
	}
	return e.config.Redact(s, e.textLeft+1) // a longer text is rejected
}

// validWTF8 reports whether s is UTF-8, except for lone surrogates, each encoded in three bytes.
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

// spendSteps charges for writing. If that exceeds a limit after the script has run, the instance ends: the call had its
// effects and has no result.
func (e *Encoder) spendSteps(steps int) error {
	if err := e.config.Meter.Spend(steps); err != nil {
		return e.limit(err)
	}
	return nil
}

// limit returns the error for a limit that writing has exceeded.
func (e *Encoder) limit(err *object.Error) error {
	if e.running { // the run ends when the script continues
		return err
	}
	limit := *err
	msg, _, _ := strings.Cut(limit.Msg, ";")
	limit.Msg = msg + " while the result was written; the call was executed"
	e.config.Meter.SetErr(&limit)
	e.config.OnLimit(&limit)
	return &limit
}

// spend charges for the bytes of a text before it is written.
func (e *Encoder) spend(n int) error {
	if err := e.chargeLater(n >> 2); err != nil {
		return err
	}
	e.config.Thread.VM().Allocated += bufferGarbage * int64(n)
	e.textBytes += n
	if e.textBytes > e.reservedBytes {
		more := max(e.reservedBytes, freeBuffer)
		if err := e.config.Meter.Reserve(2 * int64(more)); err != nil { // a growing buffer exists twice
			return e.limit(err)
		}
		e.reservedBytes += more
	}
	e.textLeft -= n
	if e.textLeft < 0 {
		return e.unsendable("has more than " + strconv.Itoa(e.textLimit) + " bytes in all")
	}
	return nil
}

func (e *Encoder) userdata(ud *lua.UserData) error {
	switch v := ud.Value.(type) {
	case values.Null:
		return e.to.Null()
	case values.Bytes:
		s := e.redacted(string(v))
		if err := e.spend(len(s)); err != nil {
			return err
		}
		return e.to.Bytes(unsafestr.Bytes(s))
	case *big.Int:
		if v.IsInt64() {
			return e.to.Int(v.Int64())
		}
		// Converting to decimal is slow, so it is charged in advance.
		if err := e.chargeLater(values.IntegerTextSteps(v)); err != nil {
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
		return e.unsendable("is an item stream, which can only be a method's whole result")
	case *values.Proxy:
		return e.proxy(v)
	}
	return e.unsendable("is a userdata")
}

// table writes a table as the kind of its mark. An unmarked table is a list if its keys are exactly 1 to n or if it is
// empty, and otherwise a dict.
func (e *Encoder) table(t *lua.Table) error {
	for _, o := range e.openTables {
		if o == t {
			return e.unsendable("is a table that contains itself")
		}
	}
	if len(e.openTables) >= maxDepth {
		return e.unsendable("is nested deeper than " + strconv.Itoa(maxDepth))
	}
	if err := e.chargeLater(elementSteps + t.Room()>>2); err != nil { // holes are visited one by one
		return err
	}
	e.openTables = append(e.openTables, t)
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
		err = e.unsendable("is made by hearth.kw, which belongs at the end of a proxy call's arguments")
	default:
		if e.isSequence(t) {
			err = e.sequence(object.ListKind, t)
		} else {
			err = e.dict(t)
		}
	}
	if err == nil {
		e.openTables = e.openTables[:len(e.openTables)-1]
	}
	return err
}

// length returns the length of a table.
func (e *Encoder) length(t *lua.Table) int {
	n, steps := t.Border()
	e.pendingSteps += steps
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

// onlyUpTo reports whether all keys of t are whole numbers from 1 to n, its length.
func onlyUpTo(t *lua.Table, n int) bool {
	last := lua.Nil
	if n > 0 {
		last = lua.Int(n)
	}
	key, _, _ := t.Next(last)
	return key.IsNil()
}

// sequence writes the elements 1 to n of t. A hole is written as None.
func (e *Encoder) sequence(k object.Kind, t *lua.Table) error {
	n := e.length(t)
	if !onlyUpTo(t, n) {
		return e.unsendable("is a " + k.String() + " with other keys than positions")
	}
	if n > e.remaining {
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
	// The sink needs the number of pairs before the first, so they are collected.
	base := len(e.scratch)
	for k, v := range t.All() {
		e.scratch = append(e.scratch, k, v)
		if len(e.scratch)-base > 2*e.remaining {
			return e.tooMany()
		}
	}
	end := len(e.scratch)
	class, _ := t.GetString(ClassKey).AsString()
	if class != "" && class == e.classes.BatchWrapper() {
		return e.unsendable("is an exception wrapper of a batch: the caller would raise the exception in it")
	}
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

// classField converts a field of a dict with a class for the peer.
func (e *Encoder) classField(class string, k, v lua.Value) lua.Value {
	switch key, _ := k.AsString(); key {
	case ClassKey:
		name, _ := e.classes.Class(class)
		return lua.String(name)
	case "state":
		if state := v.AsTable(); state != nil {
			if converted := e.convertState(class, state); converted != nil {
				return converted.Value()
			}
		}
	}
	return v
}

// key writes a dict's key: a text, number, boolean or tuple, or a value of hearth that Python can hash.
func (e *Encoder) key(k lua.Value) error {
	if t := k.AsTable(); t != nil && t.Meta != e.types.Tuple {
		return e.unsendable("has a table for its key; only a tuple can be one")
	}
	return e.Value(k)
}

// exception writes an exception of hearth.exception as a value.
func (e *Encoder) exception(t *lua.Table) error {
	class, args, message := e.types.ExceptionParts(t)
	qualified, args := e.config.Qualify(class, args, message)
	return e.exceptionDict(qualified, args, values.ExceptionFields(t), nil)
}

// exceptionDict writes an exception as the dict that Python peers exchange, with the keys in their order. fields may be
// nil. A nil trace is written as None.
//
// Source: doc/wire.md "Errors".
func (e *Encoder) exceptionDict(class string, args []lua.Value, fields *lua.Table, trace []string) error {
	e.remaining -= exceptionValues
	if e.remaining < 0 {
		return e.tooMany()
	}
	if err := e.chargeLater(exceptionValues * elementSteps); err != nil {
		return err
	}
	if err := e.spend(exceptionBytes); err != nil {
		return err
	}
	w := SinkWriter{To: e.to}
	w.Begin(object.DictKind, 4)
	w.Text(ClassKey)
	w.Text(e.redacted(class))
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
	w.Do(func() error {
		e.path = e.path[:p]
		return e.fields(fields)
	})
	w.Text("_pyroTraceback")
	if trace == nil {
		w.Do(e.to.Null)
	} else {
		w.Begin(object.ListKind, len(trace))
		for _, line := range trace {
			w.Text(e.redacted(line))
		}
		w.End()
	}
	w.End()
	w.End()
	if w.Err == nil {
		e.path = e.path[:p] // after an error it names the wrong argument
	}
	return w.Err
}

// fields begins the dict of an exception's attributes and writes its fields. The traceback follows.
func (e *Encoder) fields(t *lua.Table) error {
	base := len(e.scratch)
	if t != nil {
		if err := e.chargeLater(t.Room() >> 1); err != nil {
			return err
		}
		for k, v := range t.All() {
			name, _ := k.AsString()
			if !object.ValidField(name) || len(e.scratch)-base == 2*values.MaxFields {
				return e.unsendable("has fields that an exception cannot have")
			}
			e.scratch = append(e.scratch, k, v)
		}
	}
	end := len(e.scratch)
	if err := e.to.Begin(object.DictKind, (end-base)/2+1); err != nil {
		return err
	}
	p := len(e.path)
	e.path = append(e.path, lua.Nil)
	for i := base; i < end; i += 2 {
		e.path[p] = e.scratch[i]
		if err := e.Value(e.scratch[i]); err != nil {
			return err
		}
		if err := e.Value(e.scratch[i+1]); err != nil {
			return err
		}
	}
	e.path = e.path[:p]
	e.scratch = e.scratch[:base]
	return nil
}

// Arguments writes the arguments of a call that the running script makes: a tuple and a dict. kwargs may be nil.
func (e *Encoder) Arguments(to object.Sink, classes Classes, args []lua.Value, kwargs *lua.Table) error {
	e.Start(to, classes, "argument")
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
	if err := e.chargeLater(kwargs.Room() >> 1); err != nil {
		return err
	}
	for k := range kwargs.All() {
		if k.Kind() != lua.StringKind {
			return &unsendableValue{"the keys of hearth.kw must be texts"}
		}
	}
	e.name = "keyword argument"
	return e.dict(kwargs)
}

// Single writes one value with at most max bytes of texts while the script runs. The texts do not count for the result
// of the call. name begins the path in error messages.
func (e *Encoder) Single(to object.Sink, name string, v lua.Value, max int) error {
	left, limit := e.textLeft, e.textLimit
	e.SetTextLimit(max)
	e.Start(to, e.config.Stored, name)
	e.running = true
	err := e.Value(v)
	e.textLeft, e.textLimit = left, limit
	return err
}

// Results writes the values on the stack of L as one value. Zero values become None, and several values a tuple.
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

// Number of values and bytes of text in an exception without its arguments.
const (
	exceptionValues = 12
	exceptionBytes  = 60
)

// SinkWriter writes fixed structure to a sink. It stops at the first error, which is in Err.
type SinkWriter struct {
	To  object.Sink
	Err error
}

// Do calls f, unless an error has occurred.
func (w *SinkWriter) Do(f func() error) {
	if w.Err == nil {
		w.Err = f()
	}
}

// Text writes a text, which must be UTF-8.
func (w *SinkWriter) Text(s string) {
	if w.Err == nil {
		w.Err = w.To.Text(unsafestr.Bytes(s))
	}
}

// Begin opens a container of n elements.
func (w *SinkWriter) Begin(k object.Kind, n int) {
	if w.Err == nil {
		w.Err = w.To.Begin(k, n)
	}
}

// End closes the innermost container.
func (w *SinkWriter) End() { w.Do(w.To.End) }

// withPath adds the path of the value to an error of a sink, so that the author of the script can find the value.
func (e *Encoder) withPath(err error) error {
	var w *unsendableValue
	var o *object.Error
	if errors.As(err, &w) || !errors.As(err, &o) || o.Code != object.CodeInvalid || len(e.path) == 0 {
		return err
	}
	return e.unsendable("cannot be sent: " + o.Msg)
}

// Failure returns class and message of the exception for a value that cannot be sent. ok is false for any other error.
func (e *Encoder) Failure(err error) (class, msg string, ok bool) {
	err = e.withPath(err)
	var w *unsendableValue
	if errors.As(err, &w) {
		return "TypeError", w.msg, true
	}
	var o *object.Error
	if errors.As(err, &o) && o.Code == object.CodeInvalid {
		class = e.classes.ErrorClass(o)
		if class == "" {
			class = "TypeError"
		}
		return class, o.Msg, true
	}
	return "", "", false
}

// Unsendable returns the reason if err means that a value cannot be sent.
func Unsendable(err error) (reason string, ok bool) {
	var w *unsendableValue
	if errors.As(err, &w) {
		return w.msg, true
	}
	return "", false
}

// Exception writes an exception with its traceback. fields may be nil. Secrets are removed from all its texts.
func (e *Encoder) Exception(class string, args []lua.Value, fields *lua.Table, trace []string) error {
	e.redact = true
	defer func() { e.redact = false }()
	return e.exceptionDict(class, args, fields, trace)
}
