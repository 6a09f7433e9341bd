// Package schema converts signatures to JSON Schema 2020-12.
//
// [Arguments] and [Result] return complete schemas, with the named types that they use in $defs. [Converter] is for
// documents with a common place of named types, such as OpenAPI. Schemas are values for package json.
package schema

import (
	"slices"

	"github.com/hearthhost/hearth/signature"
)

// Dialect is the identifier of JSON Schema 2020-12.
const Dialect = "https://json-schema.org/draft/2020-12/schema"

// Converter converts types to schemas. It is not safe for concurrent use.
type Converter struct {
	Types *signature.Types
	// Ref returns the address of the schema of a named type.
	Ref func(name string) string
	// Left is the number of schemas that may follow. Beyond it, a schema is empty: it accepts every value.
	Left int
}

// MaxSchemas bounds the schemas in the results of Arguments and Result.
const MaxSchemas = 2000

// Arguments returns the schema of the arguments of a method as an object of arguments by name. Further positional
// arguments have no names and are not part of it. f is nil if the signature is not known.
func Arguments(f *signature.Function, types *signature.Types) map[string]any {
	if f == nil {
		return map[string]any{"type": "object"}
	}
	c := &Converter{Types: types, Ref: localRef, Left: MaxSchemas}
	return c.complete(c.Arguments(f), f.Types())
}

// Result returns the schema of the result of a method. Several results are an array. The schema of a method without
// annotations is empty. The result of a method with an item stream is one item. f is nil if the signature is not known.
func Result(f *signature.Function, types *signature.Types) map[string]any {
	if f == nil {
		return map[string]any{}
	}
	c := &Converter{Types: types, Ref: localRef, Left: MaxSchemas}
	return c.complete(c.Result(f), f.Types())
}

// Value returns the schema of an attribute, whose type may be nil.
func Value(t *signature.Type, types *signature.Types) map[string]any {
	if t == nil {
		return map[string]any{}
	}
	c := &Converter{Types: types, Ref: localRef, Left: MaxSchemas}
	return c.complete(c.Type(t), []*signature.Type{t})
}

// localRef is the address of a named type in $defs.
func localRef(name string) string { return "#/$defs/" + name }

// complete adds the named types that a schema uses.
func (c *Converter) complete(schema map[string]any, used []*signature.Type) map[string]any {
	defs := c.Definitions(c.Types.Reachable(used))
	if len(defs) > 0 {
		schema["$defs"] = defs
	}
	return schema
}

// Definitions returns the schemas of named types by name.
func (c *Converter) Definitions(types *signature.Types) map[string]any {
	defs := map[string]any{}
	for _, name := range types.Names() {
		defs[name] = c.definition(name, types.Find(name))
	}
	return defs
}

func (c *Converter) definition(name string, d *signature.Definition) map[string]any {
	var schema map[string]any
	if d.Type != nil {
		schema = c.Type(d.Type)
	} else {
		schema = c.record(d.Fields)
		schema["title"] = name
	}
	describe(schema, d.Doc)
	return schema
}

// Arguments returns the schema of the arguments of a method by name.
func (c *Converter) Arguments(f *signature.Function) map[string]any {
	var fields []signature.Field
	for _, p := range f.Params {
		fields = append(fields, signature.Field(p))
	}
	schema := c.record(fields)
	switch others := f.Others(); {
	case others == nil:
		schema["additionalProperties"] = false
	case others.Kind != signature.Any:
		schema["additionalProperties"] = c.Type(others)
	}
	return schema
}

// Positional returns the schema of the positional arguments of a method, an array.
func (c *Converter) Positional(f *signature.Function) map[string]any {
	var prefix []any
	required := 0
	for i, p := range f.Params {
		s := c.Type(p.Type)
		describe(s, p.Doc)
		prefix = append(prefix, s)
		if !p.Optional {
			required = i + 1
		}
	}
	schema := map[string]any{"type": "array"}
	if len(prefix) > 0 {
		schema["prefixItems"] = prefix
	}
	if required > 0 {
		schema["minItems"] = required
	}
	if f.Variadic == nil {
		schema["maxItems"] = len(f.Params)
	} else if f.Variadic.Type.Kind != signature.Any {
		schema["items"] = c.Type(f.Variadic.Type)
	}
	return schema
}

// Result returns the schema of the result of a method, of an item if the result is a stream.
func (c *Converter) Result(f *signature.Function) map[string]any {
	switch {
	case f.Items() != nil:
		return c.Type(f.Items())
	case len(f.Returns) == 1:
		s := c.Type(f.Returns[0].Type)
		describe(s, f.Returns[0].Doc)
		return s
	case len(f.Returns) == 0:
		return map[string]any{}
	}
	var prefix []any
	for _, r := range f.Returns {
		s := c.Type(r.Type)
		describe(s, r.Doc)
		prefix = append(prefix, s)
	}
	return map[string]any{"type": "array", "prefixItems": prefix, "minItems": len(prefix), "maxItems": len(prefix)}
}

// describe adds a description. In 2020-12 it may be beside a $ref.
func describe(schema map[string]any, doc string) {
	if doc != "" {
		schema["description"] = doc
	}
}

// Type returns the schema of a type.
func (c *Converter) Type(t *signature.Type) map[string]any {
	if c.Left--; c.Left < 0 {
		return map[string]any{}
	}
	switch t.Kind {
	case signature.Nil:
		return map[string]any{"type": "null"}
	case signature.Boolean:
		return map[string]any{"type": "boolean"}
	case signature.Integer:
		return map[string]any{"type": "integer"}
	case signature.Number:
		return map[string]any{"type": "number"}
	case signature.String:
		return map[string]any{"type": "string"}
	case signature.Table:
		return map[string]any{"type": []any{"object", "array"}}
	case signature.Array:
		return map[string]any{"type": "array", "items": c.Type(t.Elem)}
	case signature.Map:
		return map[string]any{"type": "object", "additionalProperties": c.Type(t.Elem)}
	case signature.Record:
		return c.record(t.Fields)
	case signature.Union:
		return c.union(t)
	case signature.Literal:
		return map[string]any{"const": t.Value}
	case signature.Named:
		if c.Types.Find(t.Name) != nil {
			return map[string]any{"$ref": c.Ref(t.Name)}
		}
	case signature.Any, signature.Stream:
	}
	return map[string]any{}
}

func (c *Converter) record(fields []signature.Field) map[string]any {
	properties, required := map[string]any{}, []any{}
	for _, f := range fields {
		s := c.Type(f.Type)
		describe(s, f.Doc)
		properties[f.Name] = s
		if !f.Optional {
			required = append(required, f.Name)
		}
	}
	schema := map[string]any{"type": "object", "properties": properties}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}

// union returns enum for literals, a list of names for basic types, and anyOf for other types.
func (c *Converter) union(t *signature.Type) map[string]any {
	var values, names, schemas []any
	for _, of := range t.Of {
		s := c.Type(of)
		schemas = append(schemas, s)
		switch of.Kind {
		case signature.Literal:
			values = append(values, of.Value)
		case signature.Nil:
			values = append(values, nil)
		}
		if name, ok := s["type"].(string); ok && len(s) == 1 {
			names = append(names, name)
		}
	}
	switch {
	case len(values) == len(t.Of):
		return map[string]any{"enum": unique(values)}
	case len(names) == len(t.Of) && len(unique(names)) > 1:
		return map[string]any{"type": unique(names)}
	}
	return map[string]any{"anyOf": schemas}
}

// unique returns the different values of a list, each a text, a number, a boolean or nil.
func unique(values []any) []any {
	var out []any
	for _, v := range values {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}
