package lua

import (
	"math"
	"math/bits"
)

// Table is a Lua table. It is not safe for concurrent use.
//
// Like PUC's, it has an array for the keys 1 to n and a hash for all others. Both are sized by PUC's rules when the
// hash is full, so that the length of an array with holes is the same. Unlike PUC's, the hash keeps its entries in
// order of insertion, so that pairs has the same order on every machine.
type Table struct {
	kind Kind
	// absent has a bit for each metamethod that the table, as a metatable, does not have. Every write clears all bits,
	// clean included.
	absent  uint8
	mark    uint16 // epoch of the last walk that found it
	sharing sharing
	Meta    *Table
	array   []Value // array[i-1] holds key i
	entries []entry // in order of insertion, up to cap(entries)
	heads   []int32 // by hash: index of the first entry of a chain, plus 1; len is a power of 2
	dead    int     // entries whose value was set to nil since the last rehash
}

type entry struct {
	key, value Value
	next       int32 // index of the next entry of the chain, plus 1
}

// Sizes for the memory count, in bytes.
const (
	tableSize = 112
	valueSize = 16
	entrySize = 40 + 4
)

// NewTable returns a table with room for the given numbers of positional and other elements.
func NewTable(array, hash int) *Table {
	t := &Table{kind: TableKind}
	if array > 0 {
		t.array = make([]Value, array)
	}
	if hash > 0 {
		t.allocate(hash)
	}
	return t
}

// allocate makes an empty hash with room for n entries.
func (t *Table) allocate(n int) {
	t.dead = 0
	if n == 0 {
		t.entries, t.heads = nil, nil
		return
	}
	size := 1 << bits.Len(uint(n-1))
	t.entries = make([]entry, 0, size)
	t.heads = make([]int32, size)
}

// Get returns the element under a key, or nil.
func (t *Table) Get(key Value) Value {
	switch {
	case key.IsNumber():
		return t.getNumber(key)
	case key.Kind() == StringKind:
		return t.getText(key.text())
	case key.IsNil():
		return Nil
	}
	if e := t.find(key); e != nil {
		return e.value
	}
	return Nil
}

// GetString returns the element under a string.
func (t *Table) GetString(key string) Value {
	if len(t.entries) == 0 {
		return Nil
	}
	return t.getText(&text{kind: StringKind, s: key})
}

// GetInt returns the element under an integer.
func (t *Table) GetInt(i int) Value {
	if uint(i-1) < uint(len(t.array)) {
		return t.array[i-1]
	}
	if len(t.entries) == 0 {
		return Nil
	}
	if e := t.find(Int(i)); e != nil {
		return e.value
	}
	return Nil
}

func (t *Table) getNumber(key Value) Value {
	f := key.number()
	if i := int(f); float64(i) == f && uint(i-1) < uint(len(t.array)) {
		return t.array[i-1]
	}
	if len(t.entries) == 0 {
		return Nil
	}
	if e := t.find(key); e != nil {
		return e.value
	}
	return Nil
}

func (t *Table) getText(s *text) Value {
	if e := t.findText(s); e != nil {
		return e.value
	}
	return Nil
}

// findText returns the entry of a string.
func (t *Table) findText(s *text) *entry {
	if len(t.heads) == 0 {
		return nil
	}
	h := s.hash
	if h == 0 {
		h = s.hashed()
	}
	entries := t.entries
	for i := t.heads[h&uint32(len(t.heads)-1)]; uint(i-1) < uint(len(entries)); {
		e := &entries[i-1]
		if k := (*text)(e.key.ref); k == s || k.kind == StringKind && k.hash == h && k.s == s.s {
			return e
		}
		i = e.next
	}
	return nil
}

// find returns the entry of a key that is not nil.
func (t *Table) find(key Value) *entry {
	if i := t.entryOf(key); i != 0 {
		return &t.entries[i-1]
	}
	return nil
}

// entryOf returns the index of the entry of a key that is not nil, plus 1, or 0.
func (t *Table) entryOf(key Value) int32 {
	if len(t.heads) == 0 {
		return 0
	}
	i := t.heads[key.hash()&uint32(len(t.heads)-1)]
	for i != 0 && !t.entries[i-1].key.Equals(key) {
		i = t.entries[i-1].next
	}
	return i
}

// Set sets the element under a key, which must not be nil or nan. It returns the bytes by which the table grew, usually
// 0.
func (t *Table) Set(key, v Value) int {
	if t.sharing != ownTable {
		t.copyHash()
	}
	t.absent = 0
	if key.IsNumber() {
		f := key.number()
		if i := int(f); float64(i) == f && uint(i-1) < uint(len(t.array)) {
			t.array[i-1] = v
			return 0
		}
	}
	var e *entry
	if key.Kind() == StringKind {
		e = t.findText(key.text()) // it does not compare texts of different hashes
	} else {
		e = t.find(key)
	}
	if e != nil {
		t.replace(e, v)
		return 0
	}
	if v.IsNil() {
		return 0
	}
	return t.insert(key, v)
}

func (t *Table) replace(e *entry, v Value) {
	if v.IsNil() && !e.value.IsNil() {
		t.dead++
	} else if !v.IsNil() && e.value.IsNil() {
		t.dead--
	}
	e.value = v
}

// SetString sets the element under a string.
func (t *Table) SetString(key string, v Value) int { return t.Set(String(key), v) }

// SetInt sets the element under an integer.
func (t *Table) SetInt(i int, v Value) int {
	if uint(i-1) < uint(len(t.array)) {
		t.absent = 0
		t.array[i-1] = v
		return 0
	}
	return t.Set(Int(i), v)
}

// Append sets the element after the last one.
func (t *Table) Append(v Value) int { return t.SetInt(t.Len()+1, v) }

// insert adds a key that is not in the table. It returns the bytes by which the table grew.
func (t *Table) insert(key, v Value) int {
	if len(t.entries) == cap(t.entries) {
		grown := t.rehash(key)
		return grown + t.Set(key, v)
	}
	if key.Kind() == StringKind {
		key.text().hashed() // comparisons read the hash
	}
	head := &t.heads[key.hash()&uint32(len(t.heads)-1)]
	t.entries = append(t.entries, entry{key, v, *head})
	*head = int32(len(t.entries))
	return 0
}

// arrayIndex returns a key that may belong to the array, or 0.
func arrayIndex(key Value) int {
	if !key.IsNumber() {
		return 0
	}
	f := key.number()
	if i := int(f); i > 0 && i <= maxArray && float64(i) == f {
		return i
	}
	return 0
}

const (
	maxArrayBits = 26
	maxArray     = 1 << maxArrayBits
)

// counts holds the number of integer keys in each range (2^(i-1), 2^i].
type counts [maxArrayBits + 1]int

func (c *counts) add(key int) { c[bits.Len(uint(key-1))]++ }

// rehash makes room for a new key. The new size of the array is the largest n for which more than half of the keys 1 to
// n are in use.
func (t *Table) rehash(key Value) (grown int) {
	var c counts
	inArray := 0
	for i, v := range t.array {
		if !v.IsNil() {
			c.add(i + 1)
			inArray++
		}
	}
	live, integers := 0, inArray
	for i := range t.entries {
		if e := &t.entries[i]; !e.value.IsNil() {
			live++
			if k := arrayIndex(e.key); k > 0 {
				c.add(k)
				integers++
			}
		}
	}
	if k := arrayIndex(key); k > 0 {
		c.add(k)
		integers++
	}
	size, moved := c.arraySize(integers)
	hash := inArray + live + 1 - moved
	if t.dead > 0 && hash > len(t.heads)*3/4 {
		hash = len(t.heads) + 1 // otherwise the next deletion and insertion would rehash again
	}
	return t.resize(size, hash)
}

// arraySize returns the size of the array for a number of integer keys, and the number of keys that it takes.
func (c *counts) arraySize(integers int) (size, taken int) {
	sum := 0
	for i, two := 0, 1; i < len(c) && two/2 < integers; i, two = i+1, two*2 {
		if c[i] > 0 {
			sum += c[i]
			if sum > two/2 {
				size, taken = two, sum
			}
		}
		if sum == integers {
			break
		}
	}
	return size, taken
}

// resize replaces the array and the hash. It returns the bytes by which the table grew.
func (t *Table) resize(array, hash int) int {
	was := len(t.array)*valueSize + cap(t.entries)*entrySize
	oldArray, oldEntries := t.array, t.entries
	if array != len(oldArray) {
		t.array = make([]Value, array)
		copy(t.array, oldArray)
	}
	t.allocate(hash)
	for i := array; i < len(oldArray); i++ {
		if v := oldArray[i]; !v.IsNil() {
			t.Set(Int(i+1), v)
		}
	}
	for i := range oldEntries {
		if e := &oldEntries[i]; !e.value.IsNil() {
			t.Set(e.key, e.value)
		}
	}
	return max(len(t.array)*valueSize+cap(t.entries)*entrySize-was, 0) + 8
}

// Size returns the bytes that the table takes.
func (t *Table) Size() int { return tableSize + len(t.array)*valueSize + cap(t.entries)*entrySize }

// Len returns a border: an n such that element n is not nil, or n is 0, and element n+1 is nil.
func (t *Table) Len() int {
	n, _ := t.Border()
	return n
}

// Border returns Len and the steps of finding it.
func (t *Table) Border() (n, steps int) {
	j := len(t.array)
	if j > 0 && t.array[j-1].IsNil() {
		i := 0
		for j-i > 1 {
			if m := (i + j) / 2; t.array[m-1].IsNil() {
				j = m
			} else {
				i = m
			}
		}
		return i, bits.Len(uint(len(t.array))) / 2
	}
	if len(t.entries) == 0 {
		return j, 0
	}
	return t.unboundLen(j)
}

// hashSteps are the steps of finding an integer key in the hash.
const hashSteps = 6

func (t *Table) unboundLen(i int) (n, steps int) {
	j := i + 1
	for !t.GetInt(j).IsNil() {
		i = j
		steps += hashSteps
		j *= 2
		if j > math.MaxInt32 { // PUC stops here, too
			for i = 1; !t.GetInt(i).IsNil(); {
				i++
			}
			return i - 1, steps + i*hashSteps
		}
	}
	for j-i > 1 {
		steps += hashSteps
		if m := (i + j) / 2; t.GetInt(m).IsNil() {
			j = m
		} else {
			i = m
		}
	}
	return i, steps
}

// Next returns the key and the value that follow a key. After nil it returns the first, at the end nil. ok is false if
// the key is not in the table. Elements may be changed and removed during a traversal.
func (t *Table) Next(key Value) (k, v Value, ok bool) {
	i, ok := t.position(key)
	if !ok {
		return Nil, Nil, false
	}
	k, v, _ = t.elementFrom(i)
	return k, v, true
}

// position returns the position of the element after a key: in the array, or behind it in the entries.
func (t *Table) position(key Value) (i int, ok bool) {
	if key.IsNil() {
		return 0, true
	}
	if n := arrayIndex(key); n > 0 && n <= len(t.array) {
		return n, true
	}
	if at := t.entryOf(key); at != 0 {
		return len(t.array) + int(at), true
	}
	return 0, false
}

// elementFrom returns the first element at or after a position, and the next position. At the end the key is nil.
func (t *Table) elementFrom(i int) (k, v Value, next int) {
	for ; i < len(t.array); i++ {
		if !t.array[i].IsNil() {
			return Int(i + 1), t.array[i], i + 1
		}
	}
	for j := i - len(t.array); j < len(t.entries); j++ {
		if e := &t.entries[j]; !e.value.IsNil() {
			return e.key, e.value, len(t.array) + j + 1
		}
	}
	return Nil, Nil, len(t.array) + len(t.entries)
}

// All iterates over the elements. No elements may be added meanwhile.
func (t *Table) All() func(yield func(k, v Value) bool) {
	return func(yield func(k, v Value) bool) {
		for i := 0; ; {
			k, v, next := t.elementFrom(i)
			if k.IsNil() || !yield(k, v) {
				return
			}
			i = next
		}
	}
}

// Count returns the number of elements.
func (t *Table) Count() int {
	n := 0
	for range t.All() {
		n++
	}
	return n
}

// Clone returns a copy with the same metatable.
func (t *Table) Clone() *Table {
	c := *t
	c.absent, c.sharing = 0, ownTable
	c.array = append([]Value(nil), t.array...)
	c.entries, c.heads = clonedHash(t.entries, t.heads)
	return &c
}
