package signature

// Schema returns the JSON Schema 2020-12 of a type. A named type is a reference, the result of ref for its name. If ref
// is nil, it is "#/$defs/NAME".
func (ts *Types) Schema(t *Type, ref func(name string) string) map[string]any {
	if ref == nil {
		ref = func(name string) string { return "#/$defs/" + name }
	}
	s := schemas{ts, ref}
	return s.of(t)
}

// Definitions returns the schemas of all named types, by name.
func (ts *Types) Definitions(ref func(name string) string) map[string]any {
	defs := map[string]any{}
	for _, name := range ts.Names() {
		n := ts.byName[name]
		var schema map[string]any
		if n.is != nil {
			schema = ts.Schema(n.is, ref)
		} else {
			fields, _ := ts.Fields(name)
			schema = ts.Schema(&Type{Kind: Record, Fields: fields}, ref)
			schema["title"] = name
		}
		if n.doc != "" {
			schema["description"] = n.doc
		}
		defs[name] = schema
	}
	return defs
}

type schemas struct {
	types *Types
	ref   func(string) string
}

func (s schemas) of(t *Type) map[string]any {
	switch t.Kind {
	case Nil:
		return map[string]any{"type": "null"}
	case Boolean:
		return map[string]any{"type": "boolean"}
	case Integer:
		return map[string]any{"type": "integer"}
	case Number:
		return map[string]any{"type": "number"}
	case String:
		return map[string]any{"type": "string"}
	case Table:
		return map[string]any{"type": []any{"object", "array"}}
	case Array:
		return map[string]any{"type": "array", "items": s.of(t.Elem)}
	case Map:
		return map[string]any{"type": "object", "additionalProperties": s.of(t.Elem)}
	case Record:
		return s.record(t.Fields)
	case Union:
		return s.union(t)
	case Literal:
		return map[string]any{"const": t.Value}
	case Named:
		if s.types.find(t.Name) != nil {
			return map[string]any{"$ref": s.ref(t.Name)}
		}
	case Any:
	}
	return map[string]any{}
}

func (s schemas) record(fields []Field) map[string]any {
	properties, required := map[string]any{}, []any{}
	for _, f := range fields {
		p := s.of(f.Type)
		if f.Doc != "" {
			p["description"] = f.Doc
		}
		properties[f.Name] = p
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

// union returns enum for literals, and anyOf for other types.
func (s schemas) union(t *Type) map[string]any {
	var values, schemas []any
	for _, of := range t.Of {
		schemas = append(schemas, s.of(of))
		switch of.Kind {
		case Literal:
			values = append(values, of.Value)
		case Nil:
			values = append(values, nil)
		}
	}
	if len(values) == len(t.Of) {
		return map[string]any{"enum": values}
	}
	return map[string]any{"anyOf": schemas}
}
