package mcp

import (
	"context"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/signature/schema"
)

// Suffixes of the tools of an attribute.
const (
	getSuffix = ".get"
	setSuffix = ".set"
)

// Arguments that are not parameters of a method.
const (
	argKey   = "object_key" // key of the instance of a keyed object
	argRest  = "arguments"  // positional arguments of a method that takes any number
	argValue = "value"      // new value of an attribute
)

// tool is a member of an object as an agent sees it.
type tool struct {
	about  *object.Description
	member *object.Member
	kind   object.CallKind
}

// name returns the name of the tool.
func (t *tool) name() string {
	name := string(t.about.ID) + "." + string(t.member.Name)
	switch t.kind {
	case object.Get:
		name += getSuffix
	case object.Set:
		name += setSuffix
	}
	return name
}

// tools returns the tools of an object.
func tools(about *object.Description) (out []tool) {
	for i := range about.Members {
		m := &about.Members[i]
		if m.Method {
			out = append(out, tool{about, m, object.Invoke})
		}
		if m.Get {
			out = append(out, tool{about, m, object.Get})
		}
		if m.Set {
			out = append(out, tool{about, m, object.Set})
		}
	}
	return out
}

// find returns the tool with a name, or nil. An object "a.b.c" with a method "get" comes before an attribute "c" of an
// object "a.b".
func find(ctx context.Context, caller Caller, name string) (*tool, error) {
	if len(name) > MaxName {
		return nil, nil
	}
	id, member, ok := cutMember(name)
	if !ok {
		return nil, nil
	}
	kind := object.Invoke
	for {
		about, err := caller.Describe(ctx, id)
		switch {
		case err == nil:
			for _, t := range tools(about) {
				if t.kind == kind && t.member.Name == member {
					return &t, nil
				}
			}
		case object.CodeOf(err) != object.CodeNotFound:
			return nil, err
		}
		if kind != object.Invoke {
			return nil, nil
		}
		switch "." + string(member) { // a tool of an attribute?
		case getSuffix:
			kind = object.Get
		case setSuffix:
			kind = object.Set
		default:
			return nil, nil
		}
		if id, member, ok = cutMember(string(id)); !ok {
			return nil, nil
		}
	}
}

// cutMember splits the name of a method's tool.
func cutMember(name string) (id object.ID, member object.Method, ok bool) {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return "", "", false
	}
	id, err := object.ParseID(name[:i])
	return id, object.Method(name[i+1:]), err == nil
}

// list returns the tools that a caller may use, at most MaxTools.
func (s *Server) list(ctx context.Context, caller Caller) (mcp.Result, error) {
	objects, err := caller.Objects(ctx, MaxTools)
	if err != nil {
		return nil, protocolError(err)
	}
	result := &mcp.ListToolsResult{Tools: []*mcp.Tool{}, Cacheable: mcp.Cacheable{CacheScope: "private"}}
	names := map[string]bool{} // of methods
	var all []tool
	for _, about := range objects {
		for _, t := range tools(about) {
			all = append(all, t)
			if t.kind == object.Invoke {
				names[t.name()] = true
			}
		}
	}
	omitted := 0
	for i := range all {
		t := &all[i]
		name := t.name()
		switch {
		case t.kind != object.Invoke && names[name]: // see find
		case len(name) > MaxName || len(result.Tools) == MaxTools:
			omitted++
		default:
			result.Tools = append(result.Tools, t.describe())
		}
	}
	if omitted > 0 {
		s.log.Debug("tools omitted from a list: their names are too long, or there are too many", "omitted", omitted,
			"listed", len(result.Tools))
	}
	return result, nil
}

// describe returns the definition of the tool.
func (t *tool) describe() *mcp.Tool {
	d := &mcp.Tool{
		Name:        t.name(),
		Description: clip(t.text(), MaxDoc),
		InputSchema: t.input(),
		Annotations: &mcp.ToolAnnotations{ReadOnlyHint: t.kind == object.Get},
	}
	if out := t.output(); out != nil {
		d.OutputSchema = out
	}
	return d
}

// text returns the description: the documentation of the member, otherwise that of the object.
func (t *tool) text() string {
	text := t.member.Doc
	if text == "" {
		text = t.about.Doc
	}
	switch {
	case t.kind == object.Get:
		text = "Reads the attribute " + string(t.member.Name) + ". " + text
	case t.kind == object.Set:
		text = "Writes the attribute " + string(t.member.Name) + ". " + text
	case text == "":
		text = string(t.member.Name) + t.member.Signature
	}
	return strings.TrimSpace(text)
}

// input returns the schema of the tool's arguments, an object.
func (t *tool) input() map[string]any {
	in := map[string]any{"type": "object", "additionalProperties": false}
	switch {
	case t.kind == object.Set:
		in["properties"] = map[string]any{argValue: schema.Value(t.member.Value, t.about.Types)}
		in["required"] = []any{argValue}
	case t.kind == object.Invoke && t.positional():
		in["properties"] = map[string]any{argRest: map[string]any{"type": "array"}}
	case t.kind == object.Invoke:
		in = schema.Arguments(t.member.Function, t.about.Types)
	}
	if t.about.Instance == object.Keyed {
		properties, ok := in["properties"].(map[string]any)
		if !ok {
			properties = map[string]any{}
		}
		properties[argKey] = map[string]any{"type": "string", "maxLength": object.MaxKeyBytes,
			"pattern":     `^[A-Za-z0-9_][A-Za-z0-9_.~-]*$`,
			"description": "Key of the instance of " + string(t.about.ID) + "."}
		in["properties"] = properties
		required, _ := in["required"].([]any)
		in["required"] = append([]any{argKey}, required...)
	}
	return in
}

// positional reports whether the method takes any number of positional arguments.
func (t *tool) positional() bool {
	f := t.member.Function
	return f != nil && f.Variadic != nil && len(f.Params) == 0
}

// output returns the schema of structured results, or nil if the result is not declared.
func (t *tool) output() map[string]any {
	var value map[string]any
	switch {
	case t.kind == object.Get:
		value = schema.Value(t.member.Value, t.about.Types)
	case t.kind == object.Invoke && !t.member.Oneway && t.member.Function != nil:
		value = schema.Result(t.member.Function, t.about.Types)
		if t.member.Function.Items() != nil {
			defs := value["$defs"]
			delete(value, "$defs")
			return results(map[string]any{"type": "array", "items": value}, defs)
		}
	}
	if len(value) == 0 {
		return nil
	}
	defs := value["$defs"]
	delete(value, "$defs")
	return results(value, defs)
}

// results is the schema of the structured content of a result.
func results(value map[string]any, defs any) map[string]any {
	out := map[string]any{
		"type": "object",
		"properties": map[string]any{
			"object": map[string]any{"type": "string", "description": "Id of the object that made the result."},
			"result": value,
			"more":   map[string]any{"type": "boolean", "description": "The stream has more items."},
		},
		"required": []string{"object", "result"},
	}
	if defs != nil {
		out["$defs"] = defs
	}
	return out
}

// clip returns at most n bytes of a text.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	const dots = "…"
	s = s[:n-len(dots)]
	for len(s) > 0 && !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + dots
}

// quote returns a text in quotes, clipped.
func quote(s string) string {
	b, _ := json.Marshal(clip(s, MaxName)) // a string has no error
	return string(b)
}
