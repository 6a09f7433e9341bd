package lua

import (
	"math"
	"strings"

	"github.com/hearthhost/hearth/sandbox/lua/arith"
	"github.com/hearthhost/hearth/sandbox/lua/code"
	"github.com/hearthhost/hearth/sandbox/lua/syntax"
)

// maxChain bounds how many metatables one access follows, as in PUC.
const maxChain = 100

// The metamethods whose absence a table remembers, by the bit in Table.absent.
const (
	absentIndex = 1 << iota
	absentNewIndex
	absentEq
	// clean is not a metamethod: MarkClean sets it and any write clears it.
	clean = 1 << 7
)

// cachedMetamethod returns a metamethod of a metatable, which may be nil. It caches the absence of the metamethod.
func (t *Table) cachedMetamethod(bit uint8, name *text) Value {
	if t == nil || t.absent&bit != 0 {
		return Nil
	}
	v := t.getText(name)
	if v.ref == nil {
		t.absent |= bit
	}
	return v
}

// common are the strings of almost every program. Constants with these texts share one object.
var common = func() map[string]Value {
	m := map[string]Value{}
	for _, s := range strings.Fields("__index __newindex __eq __call __add __sub __mul __div __mod __pow __unm __len " +
		"__concat __lt __le __tostring __metatable __name " +
		"insert remove concat sort format sub find match gmatch gsub " +
		"byte char rep len lower upper floor ceil abs max min sqrt random pairs ipairs next type tostring tonumber " +
		"setmetatable getmetatable rawget rawset rawequal select unpack pcall xpcall error assert print require " +
		"string table math os coroutine hearth self n x y z key value name id data") {
		m[s] = SharedString(s)
	}
	return m
}()

func commonText(s string) *text { return common[s].text() }

var (
	indexName    = commonText("__index")
	newIndexName = commonText("__newindex")
	eqName       = commonText("__eq")
	arithNames   = [...]*text{commonText("__add"), commonText("__sub"), commonText("__mul"), commonText("__div"),
		commonText("__mod"), commonText("__pow")}
	ltName     = commonText("__lt")
	leName     = commonText("__le")
	unmName    = commonText("__unm")
	lenName    = commonText("__len")
	concatName = commonText("__concat")
)

// metatable returns the metatable of a value, or nil.
func (L *Thread) metatable(v Value) *Table {
	switch v.Kind() {
	case TableKind:
		return (*Table)(v.ref).Meta
	case UserDataKind:
		return v.AsUserData().Meta
	case StringKind:
		return L.vm.StringMeta
	}
	return nil
}

// Metatable returns the metatable of a value, or nil.
func (L *Thread) Metatable(v Value) *Table { return L.metatable(v) }

// metamethod returns a metamethod of a value, or nil.
func (L *Thread) metamethod(v Value, event string) Value {
	if mt := L.metatable(v); mt != nil {
		return mt.GetString(event)
	}
	return Nil
}

// Metamethod returns a metamethod of a value, such as "__tostring", or nil.
func (L *Thread) Metamethod(v Value, event string) Value { return L.metamethod(v, event) }

func (L *Thread) event(v Value, name *text) Value {
	if mt := L.metatable(v); mt != nil {
		return mt.getText(name)
	}
	return Nil
}

// method finds a method of a table, in the table or along its __index tables. It returns nil if __index is not a table.
func (t *Table) method(name *text) Value {
	for range 4 {
		if e := t.findText(name); e != nil && e.value.ref != nil {
			return e.value
		}
		next := t.Meta.cachedMetamethod(absentIndex, indexName)
		if next.Kind() != TableKind {
			break
		}
		t = (*Table)(next.ref)
	}
	return Nil
}

// chargeKey charges for finding a key that takes time to hash and to compare. It returns the charge for each further
// table.
func (L *Thread) chargeKey(key Value) (steps int) {
	if key.Kind() == StringKind {
		if n := len(key.text().s); n > maxFieldName {
			steps = n >> 5
			L.vm.charge(steps)
		}
	}
	return steps >> 3 // for each further table: few hold an equal key
}

// index returns v[key]. reg is the register of v, for an error message, or -1.
func (L *Thread) index(v, key Value, reg int) Value {
	each := 1 + L.chargeKey(key)
	for range maxChain {
		var handler Value
		if t := v.AsTable(); t != nil {
			if e := t.Get(key); e.ref != nil {
				return e
			}
			handler = t.Meta.cachedMetamethod(absentIndex, indexName)
			if handler.ref == nil {
				return Nil
			}
		} else {
			handler = L.event(v, indexName)
			if handler.ref == nil {
				L.typeError(v, "index", reg)
			}
		}
		if handler.Kind() == FunctionKind {
			return L.callValue(handler, v, key)
		}
		L.vm.charge(each)
		v, reg = handler, -1 // __index is a value: continue there
	}
	L.RuntimeError("loop in gettable")
	return Nil
}

// Index returns v[key], with metamethods.
func (L *Thread) Index(v, key Value) Value { return L.index(v, key, -1) }

// setIndex does v[key] = e.
func (L *Thread) setIndex(v, key, e Value, reg int) {
	each := 1 + L.chargeKey(key)
	for range maxChain {
		var handler Value
		if t := v.AsTable(); t != nil {
			if t.Meta == nil || t.Get(key).ref != nil {
				L.RawSet(t, key, e)
				return
			}
			handler = t.Meta.cachedMetamethod(absentNewIndex, newIndexName)
			if handler.ref == nil {
				L.RawSet(t, key, e)
				return
			}
			L.checkKey(key) // as in PUC, even if there is a handler
		} else {
			handler = L.event(v, newIndexName)
			if handler.ref == nil {
				L.typeError(v, "index", reg)
			}
		}
		if handler.Kind() == FunctionKind {
			L.callValue(handler, v, key, e)
			return
		}
		L.vm.charge(each)
		v, reg = handler, -1
	}
	L.RuntimeError("loop in settable")
}

// SetIndex does v[key] = e, with metamethods.
func (L *Thread) SetIndex(v, key, e Value) { L.setIndex(v, key, e, -1) }

// RawSet sets an element without metamethods, and charges for the growth of the table.
func (L *Thread) RawSet(t *Table, key, e Value) {
	L.checkKey(key)
	room := t.Room()
	if grown := t.Set(key, e); grown > 0 {
		L.Allocate(grown)
		L.vm.charge(room) // its elements were counted and moved
	}
}

// checkKey raises an error if a value cannot be a key.
func (L *Thread) checkKey(key Value) {
	switch {
	case key.IsNil():
		L.RuntimeError("table index is nil")
	case key.IsNumber() && key.number() != key.number():
		L.RuntimeError("table index is NaN")
	}
}

// RawSetInt is RawSet for an integer key.
func (L *Thread) RawSetInt(t *Table, i int, e Value) {
	room := t.Room()
	if grown := t.SetInt(i, e); grown > 0 {
		L.Allocate(grown)
		L.vm.charge(room)
	}
}

// setList stores n values, from a position of the stack on, after the first elements of a table.
func (L *Thread) setList(t *Table, from, n, first int) {
	L.vm.charge(n >> 2)
	if need := first + n; need > len(t.array) {
		L.Allocate(need * valueSize)
		t.resize(need, cap(t.entries))
	}
	copy(t.array[first:], L.stack[from:from+n])
	t.absent = 0
}

// power charges for x^y and computes it. It multiplies for small integers y, and otherwise finds a logarithm.
func (L *Thread) power(x, y float64) float64 {
	switch {
	case y == 2:
	case y == math.Trunc(y) && math.Abs(y) <= arith.MaxRepeated:
		L.vm.charge(8)
	default:
		L.vm.charge(90)
	}
	return arith.Power(x, y)
}

// arith computes an operation for which an instruction has no fast path: numerals in strings, metamethods.
func (L *Thread) arith(op code.Op, a, b Value, aReg, bReg int) Value {
	x, ok := L.toNumber(a)
	if ok {
		var y float64
		y, ok = L.toNumber(b)
		if ok {
			if op == code.PowV {
				return Number(L.power(x, y))
			}
			return Number(syntax.Arith(syntax.Op(op-code.AddV), x, y))
		}
	}
	name := arithNames[op-code.AddV]
	h := L.event(a, name)
	if h.ref == nil {
		h = L.event(b, name)
	}
	if h.ref == nil {
		L.arithError(a, b, aReg, bReg)
	}
	return L.callValue(h, a, b)
}

// ToNumber converts a number, or a string that is a numeral, and charges for reading a long string.
func (L *Thread) ToNumber(v Value) (float64, bool) { return L.toNumber(v) }

func (L *Thread) toNumber(v Value) (float64, bool) {
	if v.Kind() == StringKind {
		L.vm.charge(len(v.text().s) >> 1)
	}
	return v.ToNumber()
}

func (L *Thread) negate(v Value, reg int) Value {
	if x, ok := L.toNumber(v); ok {
		return Number(-x)
	}
	h := L.event(v, unmName)
	if h.ref == nil {
		L.typeError(v, "perform arithmetic on", reg)
	}
	return L.callValue(h, v, v)
}

// Len returns the length of a table without metamethods, and charges for finding it.
func (L *Thread) Len(t *Table) int {
	n, steps := t.Border()
	if steps > 0 {
		L.vm.charge(steps)
	}
	return n
}

func (L *Thread) length(v Value, reg int) Value {
	switch v.Kind() {
	case TableKind:
		return Int(L.Len((*Table)(v.ref)))
	case StringKind:
		return Int(len(v.text().s))
	}
	h := L.event(v, lenName)
	if h.ref == nil {
		L.typeError(v, "get length of", reg)
	}
	return L.callValue(h, v, Nil)
}

// equal compares with metamethods.
func (L *Thread) equal(a, b Value) bool {
	if a.Kind() != b.Kind() {
		return false
	}
	var m, n *Table
	switch a.Kind() {
	case StringKind:
		s, t := a.text(), b.text()
		if s == t {
			return true
		}
		if len(s.s) != len(t.s) {
			return false
		}
		L.ChargeBytes(len(s.s))
		return s.s == t.s
	case TableKind:
		m, n = (*Table)(a.ref).Meta, (*Table)(b.ref).Meta
	case UserDataKind:
		m, n = a.AsUserData().Meta, b.AsUserData().Meta
	default:
		return a.Equals(b)
	}
	if a == b { // the same object
		return true
	}
	h := m.cachedMetamethod(absentEq, eqName)
	if h.ref == nil {
		return false
	}
	// As in PUC, both objects must have the same metamethod.
	if m != n && !n.cachedMetamethod(absentEq, eqName).Equals(h) {
		return false
	}
	return L.callValue(h, a, b).Truth()
}

// Equal compares with metamethods.
func (L *Thread) Equal(a, b Value) bool { return L.equal(a, b) }

// less returns a < b.
func (L *Thread) less(a, b Value) bool {
	if a.Kind() != b.Kind() {
		L.orderError(a, b)
	}
	switch a.Kind() {
	case NumberKind:
		return a.number() < b.number()
	case StringKind:
		return L.compareStrings(a, b) < 0
	}
	res, ok := L.order(a, b, ltName)
	if !ok {
		L.orderError(a, b)
	}
	return res
}

// Less returns a < b, with metamethods.
func (L *Thread) Less(a, b Value) bool { return L.less(a, b) }

func (L *Thread) lessEqual(a, b Value) bool {
	if a.Kind() != b.Kind() {
		L.orderError(a, b)
	}
	switch a.Kind() {
	case NumberKind:
		return a.number() <= b.number()
	case StringKind:
		return L.compareStrings(a, b) <= 0
	}
	if res, ok := L.order(a, b, leName); ok {
		return res
	}
	res, ok := L.order(b, a, ltName) // not b < a
	if !ok {
		L.orderError(a, b)
	}
	return !res
}

func (L *Thread) compareStrings(a, b Value) int {
	s, t := a.text().s, b.text().s
	L.ChargeBytes(min(len(s), len(t)))
	return strings.Compare(s, t)
}

// order calls a metamethod that both values must have.
func (L *Thread) order(a, b Value, name *text) (res, ok bool) {
	h := L.event(a, name)
	if h.ref == nil || !L.event(b, name).Equals(h) {
		return false, false
	}
	return L.callValue(h, a, b).Truth(), true
}

// concat joins the values in the slots first to last, from right to left, and stores the result in first.
func (L *Thread) concat(first, last int) {
	base := L.ci.base
	for last > first {
		a, b := L.stack[last-1], L.stack[last]
		if !joinable(a) || !joinable(b) {
			h := L.event(a, concatName)
			if h.ref == nil {
				h = L.event(b, concatName)
			}
			if h.ref == nil {
				L.concatError(a, b, last-1-base, last-base)
			}
			v := L.callValue(h, a, b)
			last--
			L.stack[last] = v
			continue
		}
		from := last - 1
		for from > first && joinable(L.stack[from-1]) {
			from--
		}
		L.stack[from] = L.join(L.stack[from : last+1])
		last = from
	}
}

func joinable(v Value) bool {
	k := v.Kind()
	return k == StringKind || k == NumberKind
}

// join makes one string of strings and numbers.
func (L *Thread) join(list []Value) Value {
	size, numbers := 0, 0
	for _, v := range list {
		if v.Kind() == StringKind {
			size += len(v.text().s)
		} else {
			size += 8
			numbers += NumberSteps(v.number())
		}
	}
	L.checkString(size)
	L.vm.charge(numbers)
	L.Allocate(textSize + size)
	b := make([]byte, 0, size)
	for _, v := range list {
		if v.Kind() == StringKind {
			b = append(b, v.text().s...)
		} else {
			b = AppendNumber(b, v.number())
		}
	}
	return L.ownedString(b)
}

// MaxString is the length limit of strings, in bytes.
const MaxString = 32 << 20

func (L *Thread) checkString(n int) {
	if n > MaxString {
		L.RuntimeError("string length overflow")
	}
}

// prepareLoop converts the three numbers of a numeric loop.
func (L *Thread) prepareLoop(v []Value) {
	for i, what := range [...]string{"initial value", "limit", "step"} {
		n, ok := L.toNumber(v[i])
		if !ok {
			L.RuntimeError("'for' %s must be a number", what)
		}
		v[i] = Number(n)
	}
}

// nextElement returns the key and the value after a key.
func (L *Thread) nextElement(t *Table, key Value) (k, v Value) {
	L.chargeKey(key)
	i, ok := t.position(key)
	if !ok {
		L.Raise(String("invalid key to 'next'"))
	}
	k, v, next := t.elementFrom(i)
	L.vm.charge(1 + (next-i)>>1) // it skipped holes
	return k, v
}
