package signature

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Types are the named types of a program. They are immutable. A nil *Types has none. Their JSON is an object of
// definitions by name.
type Types struct {
	byName map[string]*Definition
}

// Definition is a class, an enum or an alias.
type Definition struct {
	Doc string `json:"doc,omitempty"`
	// Type is the type for which an enum or alias stands. It is nil for a class.
	Type *Type `json:"type,omitempty"`
	// Fields are the fields of a class, with those of its parents.
	Fields []Field `json:"fields,omitempty"`

	parents  []string // of a class, until resolve
	nillable bool     // see Types.Nillable
}

// NewTypes returns types with these definitions by name, which it owns. An alias that stands for itself, as in A = A|B,
// is any afterwards. The error names the first name that no type can have.
func NewTypes(definitions map[string]*Definition) (*Types, error) {
	for _, name := range slices.Sorted(maps.Keys(definitions)) {
		p := &parser{text: name}
		_, isBasic := basic[name]
		if name == "" || p.identifier() != name || isBasic || name == streamName {
			return nil, fmt.Errorf("%q is not a name of a type", clip(name))
		}
		if definitions[name] == nil {
			return nil, fmt.Errorf("the type %s has no definition", clip(name))
		}
		for i, f := range definitions[name].Fields {
			definitions[name].Fields[i].Type = f.Type.orAny()
		}
	}
	ts := &Types{byName: definitions}
	ts.resolve()
	return ts, nil
}

// MarshalJSON encodes the definitions by name.
func (ts *Types) MarshalJSON() ([]byte, error) { return json.Marshal(ts.byName) }

// UnmarshalJSON decodes definitions by name.
func (ts *Types) UnmarshalJSON(doc []byte) error {
	var definitions map[string]*Definition
	if err := json.Unmarshal(doc, &definitions); err != nil {
		return fmt.Errorf("reading named types: %w", err)
	}
	read, err := NewTypes(definitions)
	if err != nil {
		return fmt.Errorf("reading named types: %w", err)
	}
	*ts = *read
	return nil
}

// Names returns the names in order.
func (ts *Types) Names() []string {
	if ts == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(ts.byName))
}

// Find returns the definition of a name, or nil.
func (ts *Types) Find(name string) *Definition {
	if ts == nil {
		return nil
	}
	return ts.byName[name]
}

// Nillable reports whether nil is a value of a type.
func (ts *Types) Nillable(t *Type) bool {
	switch t.Kind {
	case Any, Nil:
		return true
	case Named:
		d := ts.Find(t.Name)
		return d == nil || d.nillable // an undeclared type is any
	case Union:
		return slices.ContainsFunc(t.Of, ts.Nillable)
	}
	return false
}

// Reachable returns the named types that types use, directly and through other named types. It returns nil for none.
func (ts *Types) Reachable(types []*Type) *Types {
	found := map[string]*Definition{}
	var next []*Type
	use := func(part *Type) {
		if part.Kind != Named || found[part.Name] != nil {
			return
		}
		d := ts.Find(part.Name)
		if d == nil {
			return
		}
		found[part.Name] = d
		if d.Type != nil {
			next = append(next, d.Type)
		}
		for _, f := range d.Fields {
			next = append(next, f.Type)
		}
	}
	for next = slices.Clone(types); len(next) > 0; {
		t := next[len(next)-1]
		next = next[:len(next)-1]
		t.walk(use)
	}
	if len(found) == 0 {
		return nil
	}
	return &Types{byName: found}
}

// Size returns the number of types and their parts.
func (ts *Types) Size() int {
	n := 0
	if ts == nil {
		return n
	}
	for _, d := range ts.byName {
		n++
		if d.Type != nil {
			n += d.Type.Size()
		}
		for _, f := range d.Fields {
			n += f.Type.Size()
		}
	}
	return n
}

// Size returns the number of parts of a type, itself included.
func (t *Type) Size() int {
	n := 0
	t.walk(func(*Type) { n++ })
	return n
}

// unknown returns the names in a type that are not declared.
func (ts *Types) unknown(t *Type) (names []string) {
	t.walk(func(part *Type) {
		if part.Kind == Named && ts.Find(part.Name) == nil {
			names = append(names, part.Name)
		}
	})
	return names
}

// resolve completes the definitions: it adds the fields of parents, and makes aliases that stand for themselves any. It
// returns the names of these aliases, and of the classes with too many fields, which become any table.
func (ts *Types) resolve() (cyclic, tooLarge []string) {
	visits := map[string]visit{}
	for _, name := range ts.Names() {
		ts.resolveAlias(name, visits, &cyclic)
	}
	left := maxScriptTypes
	inherited := map[string][]Field{}
	for _, name := range ts.Names() {
		if d := ts.byName[name]; len(d.parents) > 0 {
			fields, ok := ts.inherit(name, &left)
			if !ok {
				tooLarge = append(tooLarge, name)
				fields, d.Type = nil, &Type{Kind: Table}
			}
			inherited[name] = fields
		}
	}
	for name, fields := range inherited { // now, because inherit reads the fields of each class alone
		ts.byName[name].Fields, ts.byName[name].parents = fields, nil
	}
	return cyclic, tooLarge
}

// visit is the progress of resolveAlias on a name.
type visit uint8

const (
	unvisited visit = iota
	entered
	finished
)

// resolveAlias breaks the cycles of aliases on the way from a name, and enters which names are nillable.
func (ts *Types) resolveAlias(name string, visits map[string]visit, cyclic *[]string) {
	d := ts.byName[name]
	if d == nil || d.Type == nil || visits[name] == finished {
		return
	}
	if visits[name] == entered {
		*cyclic = append(*cyclic, name)
		d.Type, d.nillable = &Type{}, true
		return
	}
	visits[name] = entered
	parts := []*Type{d.Type}
	if d.Type.Kind == Union {
		parts = d.Type.Of
	}
	for _, part := range parts {
		if part.Kind == Named {
			ts.resolveAlias(part.Name, visits, cyclic)
		}
	}
	d.nillable = ts.Nillable(d.Type)
	visits[name] = finished
}

// inherit returns the fields of a class and of its parents. It decreases left by their number, and fails at 0.
func (ts *Types) inherit(name string, left *int) (fields []Field, ok bool) {
	classes, has := map[string]bool{}, map[string]bool{} // visited classes, names of fields
	for next := []string{name}; len(next) > 0; {
		d := ts.byName[next[0]]
		if d == nil || d.Type != nil || classes[next[0]] {
			next = next[1:]
			continue
		}
		classes[next[0]] = true
		for _, f := range d.Fields {
			if *left--; *left < 0 {
				return nil, false
			}
			if !has[f.Name] {
				has[f.Name] = true
				fields = append(fields, f)
			}
		}
		next = append(slices.Clone(d.parents), next[1:]...)
	}
	return fields, true
}

// Equal reports whether the definitions are equal.
func (ts *Types) Equal(other *Types) bool {
	if ts == nil || other == nil {
		return len(ts.Names()) == len(other.Names())
	}
	return reflect.DeepEqual(ts.byName, other.byName)
}
