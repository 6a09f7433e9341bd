package sdk

import (
	"cmp"
	"encoding"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/signature"
)

// Types whose values are not described by their kind.
var (
	anyType     = reflect.TypeFor[any]()
	bytesType   = reflect.TypeFor[[]byte]()
	timeType    = reflect.TypeFor[time.Time]()
	bigIntType  = reflect.TypeFor[*big.Int]()
	tupleType   = reflect.TypeFor[Tuple]()
	setType     = reflect.TypeFor[Set]()
	dictType    = reflect.TypeFor[Dict]()
	dateType    = reflect.TypeFor[Date]()
	marshaler   = reflect.TypeFor[encoding.TextMarshaler]()
	unmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// isText reports whether values of a type are sent as the text that they marshal to.
func isText(t reflect.Type) bool {
	return t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface && t.Implements(marshaler) &&
		reflect.PointerTo(t).Implements(unmarshaler)
}

// isRecord reports whether values of a type are dicts with the fields of a struct.
func isRecord(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != timeType && t != bigIntType.Elem() && !isText(t)
}

// field is a field of a struct that is an argument or a result.
type field struct {
	name     string
	doc      string
	index    []int
	typ      reflect.Type
	optional bool // an argument may lack it
	omit     bool // a result lacks it if it is zero
}

var fieldsByType sync.Map // []field by reflect.Type

// fieldsOf returns the exported fields of a struct in their order. The tag json has the name, and omitempty or omitzero
// for an optional field. A pointer is optional too. The tag doc has the description. Fields of embedded structs are
// fields of the struct.
func fieldsOf(t reflect.Type) []field {
	if known, ok := fieldsByType.Load(t); ok {
		return known.([]field) //nolint:forcetypeassert // the map holds fields only
	}
	var all []field
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		embedded := f.Anonymous && f.Type.Kind() == reflect.Struct && name == "" && isRecord(f.Type)
		if !f.IsExported() || embedded || name == "-" || throughPointer(t, f.Index) {
			continue
		}
		omit := slices.ContainsFunc(strings.Split(options, ","), func(o string) bool {
			return o == "omitempty" || o == "omitzero"
		})
		all = append(all, field{
			name:     cmp.Or(name, f.Name),
			doc:      f.Tag.Get("doc"),
			index:    f.Index,
			typ:      f.Type,
			optional: omit || f.Type.Kind() == reflect.Pointer,
			omit:     omit,
		})
	}
	fieldsByType.Store(t, all)
	return all
}

// throughPointer reports whether a field belongs to an embedded pointer, which may be nil.
func throughPointer(t reflect.Type, index []int) bool {
	for _, i := range index[:len(index)-1] {
		if t = t.Field(i).Type; t.Kind() == reflect.Pointer {
			return true
		}
	}
	return false
}

// typeTable has the named types of an object's signatures.
type typeTable struct {
	names       map[reflect.Type]string
	definitions map[string]*signature.Definition
}

// maxTypeDepth bounds the nesting of types without names: type list []list has no end.
const maxTypeDepth = 16

func newTypeTable() *typeTable {
	return &typeTable{names: map[reflect.Type]string{}, definitions: map[string]*signature.Definition{}}
}

// of returns the type of the values of a Go type.
func (tt *typeTable) of(t reflect.Type, depth int) *signature.Type {
	if depth > maxTypeDepth {
		return &signature.Type{}
	}
	switch t {
	case bytesType, timeType, dateType:
		return &signature.Type{Kind: signature.String}
	case bigIntType, bigIntType.Elem():
		return &signature.Type{Kind: signature.Integer}
	case tupleType, setType:
		return &signature.Type{Kind: signature.Array, Elem: &signature.Type{}}
	case dictType:
		return &signature.Type{Kind: signature.Table}
	}
	if isText(t) {
		return &signature.Type{Kind: signature.String}
	}
	switch t.Kind() {
	case reflect.Bool:
		return &signature.Type{Kind: signature.Boolean}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return &signature.Type{Kind: signature.Integer}
	case reflect.Float32, reflect.Float64:
		return &signature.Type{Kind: signature.Number}
	case reflect.String:
		return &signature.Type{Kind: signature.String}
	case reflect.Slice, reflect.Array:
		return &signature.Type{Kind: signature.Array, Elem: tt.of(t.Elem(), depth+1)}
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			return &signature.Type{Kind: signature.Table}
		}
		key := &signature.Type{Kind: signature.String}
		return &signature.Type{Kind: signature.Map, Key: key, Elem: tt.of(t.Elem(), depth+1)}
	case reflect.Pointer:
		return tt.of(t.Elem(), depth+1).OrNil()
	case reflect.Struct:
		return tt.record(t, depth)
	}
	return &signature.Type{}
}

// record returns the type of a struct: a class with the struct's name, or a table type.
func (tt *typeTable) record(t reflect.Type, depth int) *signature.Type {
	if t.Name() == "" {
		return &signature.Type{Kind: signature.Record, Fields: tt.fields(t, depth)}
	}
	name, known := tt.names[t]
	if !known {
		name = tt.nameOf(t)
		d := new(signature.Definition)
		tt.names[t], tt.definitions[name] = name, d
		d.Fields = tt.fields(t, 0) // fields may have this type
	}
	return &signature.Type{Kind: signature.Named, Name: name}
}

func (tt *typeTable) fields(t reflect.Type, depth int) []signature.Field {
	var all []signature.Field
	for _, f := range fieldsOf(t) {
		all = append(all, signature.Field{
			Name:     f.name,
			Type:     tt.of(f.typ, depth+1),
			Optional: f.optional,
			Doc:      f.doc,
		})
	}
	return all
}

// nameOf returns an unused name for a struct: that of the type, with the name of its package if another type has it.
func (tt *typeTable) nameOf(t reflect.Type) string {
	pkg := t.PkgPath()[strings.LastIndexByte(t.PkgPath(), '/')+1:]
	for i := 1; ; i++ {
		name := className(t.Name())
		if i > 1 {
			name = className(pkg + "." + t.Name())
		}
		if i > 2 {
			name += fmt.Sprint("_", i)
		}
		read, err := signature.ParseType(name)
		if err == nil && read.Kind == signature.Named && read.Name == name && tt.definitions[name] == nil {
			return name
		}
	}
}

// className returns a name in which type arguments, as in Page[int], are part of the word.
func className(name string) string {
	return strings.Map(func(c rune) rune {
		if c == '[' || c == ']' || c == ',' || c == '/' || c == '*' || c == ' ' {
			return '_'
		}
		return c
	}, name)
}

// encoded returns the JSON of the definitions, nil without any.
func (tt *typeTable) encoded() []byte {
	if len(tt.definitions) == 0 {
		return nil
	}
	doc, err := json.Marshal(tt.definitions)
	if err != nil { // they have texts only
		return nil
	}
	return doc
}

// describe sets the signature of a function from its types and the names of its parameters.
func (f *function) describe(tt *typeTable, where string, names []string) {
	sig := &signature.Function{Annotated: true}
	f.expand = len(names) == 0 && len(f.args) == 1 && !f.variadic && isRecord(f.args[0])
	switch {
	case f.expand:
		f.fields = fieldsOf(f.args[0])
		for _, one := range tt.fields(f.args[0], 0) {
			sig.Params = append(sig.Params, signature.Param(one))
		}
	case len(names) > 0 && len(names) != len(f.args):
		panic(fmt.Sprintf("sdk: %s: %d names of parameters, and the function has %d arguments", where, len(names),
			len(f.args)))
	default:
		for i, t := range f.args {
			text := fmt.Sprint("arg", i+1)
			if len(names) > 0 {
				text = names[i]
			}
			sig.Params = append(sig.Params, f.param(tt, where, text, t))
		}
	}
	seen := map[string]bool{}
	for _, p := range sig.Params {
		if seen[p.Name] {
			panic(fmt.Sprintf("sdk: %s: two parameters have the name %s", where, p.Name))
		}
		seen[p.Name] = true
	}
	if f.variadic {
		last := len(sig.Params) - 1
		p := sig.Params[last]
		p.Type, p.Optional = tt.of(f.args[last].Elem(), 0), false
		sig.Params, sig.Variadic = sig.Params[:last], &p
	}
	if f.kwargs {
		sig.Keywords = &signature.Param{Name: signature.KeywordsName, Type: &signature.Type{}, Optional: true}
	}
	if f.result {
		sig.Returns = []signature.Return{{Type: tt.result(f.v.Type().Out(0), f.stream)}}
	}
	f.sig = sig
}

// param returns the parameter of a text such as "k", "note?" or "k the amount".
func (f *function) param(tt *typeTable, where, text string, t reflect.Type) signature.Param {
	name, doc, _ := strings.Cut(text, " ")
	name, optional := strings.CutSuffix(name, "?")
	if !object.Method(name).Callable() {
		panic(fmt.Sprintf("sdk: %s: %q is not a name of a parameter", where, name))
	}
	pt := tt.of(t, 0)
	pointer := t.Kind() == reflect.Pointer && t != bigIntType
	return signature.Param{Name: name, Type: pt, Optional: optional || pointer, Doc: strings.TrimSpace(doc)}
}

// result returns the type of a result: of its items, if it is a stream.
func (tt *typeTable) result(t reflect.Type, stream bool) *signature.Type {
	if !stream {
		return tt.of(t, 0)
	}
	return &signature.Type{Kind: signature.Stream, Elem: tt.of(t.In(0).In(0), 0)}
}

// signatureOf returns the JSON of a member's signature.
func (m *member) signatureOf() []byte {
	var v any
	switch {
	case m.method != nil:
		v = m.method.sig
	case m.get != nil && len(m.get.sig.Returns) > 0:
		v = m.get.sig.Returns[0].Type
	case m.set != nil && len(m.set.sig.Params) > 0:
		v = m.set.sig.Params[0].Type
	default:
		return nil
	}
	doc, err := json.Marshal(v)
	if err != nil { // it has texts only
		return nil
	}
	return doc
}
