// Package openapi describes objects as an OpenAPI document, for clients of gateway/web.
//
// Source: OpenAPI 3.1.1 (spec.openapis.org); the requests are those of doc/http.md.
package openapi

import (
	"strings"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/signature/schema"
)

// Version is the version of OpenAPI.
const Version = "3.1.1"

// MaxSchemas bounds the schemas of a document. Beyond it, a schema accepts every value.
const MaxSchemas = 20_000

// Info describes a document.
type Info struct {
	Title   string
	Version string // of the host
	Server  string // URL of the listener, "" for the address of the document
}

// doc is a JSON object.
type doc = map[string]any

// Document returns the document of some objects and their members, a value for package json. The caller passes only
// members that the reader of the document may call.
func Document(info Info, objects []*object.Description) map[string]any {
	b := &builder{left: MaxSchemas, paths: doc{}, schemas: doc{"Problem": problem()}}
	var tags []any
	for _, about := range objects {
		b.object(about)
		tag := doc{"name": string(about.ID.Family())}
		if about.Doc != "" {
			tag["description"] = about.Doc
		}
		tags = append(tags, tag)
	}
	out := doc{
		"openapi":           Version,
		"jsonSchemaDialect": schema.Dialect,
		"info":              doc{"title": info.Title, "version": info.Version},
		"paths":             b.paths,
		"components": doc{
			"schemas":         b.schemas,
			"securitySchemes": securitySchemes(),
		},
		"security": []any{doc{"bearer": []any{}}, doc{"certificate": []any{}}, doc{}},
	}
	if len(tags) > 0 {
		out["tags"] = tags
	}
	if info.Server != "" {
		out["servers"] = []any{doc{"url": info.Server}}
	}
	return out
}

func securitySchemes() doc {
	return doc{
		"bearer": doc{"type": "http", "scheme": "bearer",
			"description": "A bearer key of the host, or a token of an issuer that the host accepts."},
		"certificate": doc{"type": "mutualTLS", "description": "A client certificate."},
	}
}

// problem is the schema of an error.
func problem() doc {
	text := doc{"type": "string"}
	return doc{
		"type": "object",
		"properties": doc{
			"type":      doc{"type": "string", "description": `"urn:hearth:problem:" and the code of the error.`},
			"title":     text,
			"status":    doc{"type": "integer"},
			"detail":    text,
			"executed":  doc{"enum": []any{"no", "yes", "unknown"}, "description": "Whether the call was executed."},
			"class":     doc{"type": "string", "description": "The class of an exception that the object raised."},
			"traceback": doc{"type": "array", "items": text},
		},
		"required": []any{"type", "title", "status", "executed"},
	}
}

type builder struct {
	left           int // number of schemas that may follow
	paths, schemas doc
}

// object adds the paths and types of an object.
func (b *builder) object(about *object.Description) {
	family := string(about.ID.Family())
	c := &schema.Converter{
		Types: about.Types,
		Ref:   func(name string) string { return "#/components/schemas/" + typeName(family, name) },
		Left:  b.left,
	}
	for name, s := range c.Definitions(about.UsedTypes()) {
		b.schemas[typeName(family, name)] = s
	}
	for i := range about.Members {
		m := &about.Members[i]
		path := "/v1/objects/" + family
		var params []any
		if about.Instance == object.Keyed {
			path += ":{key}"
			params = []any{doc{"name": "key", "in": "path", "required": true, "schema": doc{"type": "string",
				"pattern": "^[A-Za-z0-9_][A-Za-z0-9_.~-]*$", "maxLength": object.MaxKeyBytes},
				"description": "Key of the instance."}}
		}
		item := doc{}
		if len(params) > 0 {
			item["parameters"] = params
		}
		if m.Method {
			item["post"] = call(c, about, m)
		}
		if m.Get {
			item["get"] = read(c, about, m)
		}
		if m.Set {
			item["put"] = write(c, about, m)
		}
		b.paths[path+"/"+string(m.Name)] = item
	}
	b.left = c.Left
}

// typeName returns the name of an object's type among those of all objects. Names of components have letters, digits,
// '.', '_' and '-' only.
func typeName(family, name string) string {
	return family + "." + strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune("._-", r):
			return r
		}
		return '_'
	}, name)
}

// operation returns the parts that all operations have. kind distinguishes the operations of an attribute.
func operation(about *object.Description, m *object.Member, kind string) doc {
	family := string(about.ID.Family())
	id := family + "." + string(m.Name) + kind
	op := doc{"operationId": id, "tags": []any{family}, "summary": id}
	if text := strings.TrimSpace(m.Doc); text != "" {
		first, _, _ := strings.Cut(text, "\n")
		op["summary"] = first
		op["description"] = text
	}
	return op
}

// call returns the operation of a method.
func call(c *schema.Converter, about *object.Description, m *object.Member) doc {
	op := operation(about, m, "")
	var headers []any
	if about.Instance == object.Single || about.Instance == object.Keyed {
		headers = append(headers, header("Idempotency-Key", "The call is executed at most once."))
	}
	if about.Instance == object.Session {
		headers = append(headers, header("Hearth-Session", "The call uses the instance of this session."))
	}
	if headers != nil {
		op["parameters"] = headers
	}
	byName, inOrder := doc{"type": "object"}, doc{"type": "array"}
	required := false
	if f := m.Function; f != nil {
		byName, inOrder = c.Arguments(f), c.Positional(f)
		for _, p := range f.Params {
			required = required || !p.Optional
		}
		op["deprecated"] = f.Deprecated
	}
	op["requestBody"] = doc{"required": required, "content": jsonBody(doc{"oneOf": []any{byName, inOrder}})}
	op["responses"] = responses(result(c, m))
	return op
}

// result returns the answers of a method that succeeds.
func result(c *schema.Converter, m *object.Member) doc {
	if m.Oneway {
		return doc{"202": doc{"description": "The call is in the queue of the object."}}
	}
	var value doc
	if m.Function != nil {
		value = c.Result(m.Function)
		if m.Function.Items() != nil {
			return doc{"200": doc{"description": "The items of the stream.", "content": doc{
				"application/x-ndjson": doc{"schema": value},
				"text/event-stream":    doc{"schema": value},
			}}}
		}
	}
	return valueAnswer(value)
}

// valueAnswer returns the answers with a value, or without one for nil.
func valueAnswer(value doc) doc {
	if value == nil {
		value = doc{}
	}
	return doc{
		"200": doc{"description": "The result.", "content": jsonBody(value)},
		"204": doc{"description": "The result is nil."},
	}
}

func read(c *schema.Converter, about *object.Description, m *object.Member) doc {
	op := operation(about, m, ".get")
	var value doc
	if m.Value != nil {
		value = c.Type(m.Value)
	}
	op["responses"] = responses(valueAnswer(value))
	return op
}

func write(c *schema.Converter, about *object.Description, m *object.Member) doc {
	op := operation(about, m, ".set")
	value := doc{}
	if m.Value != nil {
		value = c.Type(m.Value)
	}
	op["requestBody"] = doc{"required": true, "content": jsonBody(value)}
	op["responses"] = responses(doc{"204": doc{"description": "The attribute has the value."}})
	return op
}

func jsonBody(s doc) doc { return doc{"application/json": doc{"schema": s}} }

func header(name, text string) doc {
	return doc{"name": name, "in": "header", "description": text, "schema": doc{"type": "string"}}
}

// responses adds the answer of all other cases.
func responses(of doc) doc {
	of["default"] = doc{"description": "The call failed.", "content": doc{"application/problem+json": doc{
		"schema": doc{"$ref": "#/components/schemas/Problem"}}}}
	return of
}
