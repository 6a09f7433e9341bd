// Package page writes the page of a listener: the objects and members that a caller may call, with a form for each.
//
// The page is one document. Its style and its script are inside it and are the only ones that a browser accepts, see
// [Policy]. Without the script it is a list. The script makes the requests of doc/http.md.
package page

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"io"
	"strings"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/signature"
)

var (
	//go:embed page.html
	document string
	//go:embed page.css
	style string
	//go:embed page.js
	script string
)

// Policy is the Content-Security-Policy of the page: the style and the script of this package, requests to the same
// host, and nothing else. Other pages cannot embed it.
var Policy = "default-src 'none'; style-src " + Source(style) + "; script-src " + Source(script) +
	"; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Source returns the source expression of an inline style or script.
func Source(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

var page = template.Must(template.New("page").Parse(document))

// Page is the content of the page.
type Page struct {
	Caller  object.Principal // "": the caller is not identified, and has no objects
	Objects []*object.Description
	Omitted int // objects of the caller that are not in Objects
}

// Write writes the page.
func (p *Page) Write(w io.Writer) error {
	v := view{
		Style:   template.CSS(style), //nolint:gosec // a constant
		Script:  template.JS(script), //nolint:gosec // a constant
		Caller:  p.Caller,
		Omitted: p.Omitted,
	}
	for _, about := range p.Objects {
		v.Objects = append(v.Objects, objectView(about))
	}
	return page.Execute(w, v)
}

// view is the data of the template.
type view struct {
	Style   template.CSS
	Script  template.JS
	Caller  object.Principal
	Objects []objectData
	Omitted int
}

type objectData struct {
	ID       object.ID // without a key
	Doc      string
	Keyed    bool
	Instance object.InstanceMode
	Members  []memberData
}

type memberData struct {
	Name      object.Method
	Doc       string
	Signature string
	Note      string // oneway, or the access to an attribute
	Forms     []form
}

// form is a request that the script makes.
type form struct {
	Method  string // of HTTP
	Label   string // of the button
	Fields  []field
	Returns []string // documented results
}

// field is a control of a form.
type field struct {
	Name     string
	Label    string
	Kind     string // see page.js
	Type     string // the type as text
	Doc      string
	Choices  []choice // values of kind "choice"
	Optional bool
}

// choice is a value that a parameter can have.
type choice struct {
	JSON, Text string
}

// Kinds of fields.
const (
	kindText    = "text"
	kindInteger = "integer"
	kindNumber  = "number"
	kindChoice  = "choice"
	kindJSON    = "json"   // any value
	kindAll     = "all"    // all arguments, an array or an object
	kindRest    = "rest"   // further positional arguments, an array
	kindOthers  = "others" // other keyword arguments, an object
)

func objectView(about *object.Description) objectData {
	o := objectData{
		ID:       about.ID.Family(),
		Doc:      strings.TrimSpace(about.Doc),
		Keyed:    about.Instance == object.Keyed,
		Instance: about.Instance,
	}
	for i := range about.Members {
		o.Members = append(o.Members, memberView(about, &about.Members[i]))
	}
	return o
}

func memberView(about *object.Description, m *object.Member) memberData {
	v := memberData{Name: m.Name, Doc: strings.TrimSpace(m.Doc), Signature: m.Signature}
	if !m.Method && m.Signature != "" {
		v.Signature = ": " + m.Signature
	}
	switch {
	case m.Oneway:
		v.Note = "oneway"
	case m.Get && m.Set:
		v.Note = "read, write"
	case m.Get:
		v.Note = "read only"
	case m.Set:
		v.Note = "write only"
	}
	if m.Method {
		v.Forms = append(v.Forms, call(about, m))
	}
	if m.Get {
		v.Forms = append(v.Forms, form{Method: "GET", Label: "Read"})
	}
	if m.Set {
		value := field{Name: "value", Label: "value", Kind: kindJSON}
		value.setType(m.Value, about.Types)
		v.Forms = append(v.Forms, form{Method: "PUT", Label: "Write", Fields: []field{value}})
	}
	return v
}

// call returns the form of a method.
func call(about *object.Description, m *object.Member) form {
	f := form{Method: "POST", Label: "Call"}
	if m.Function == nil {
		f.Fields = []field{{Name: "arguments", Label: "arguments", Kind: kindAll, Optional: true,
			Type: "an array, or an object of arguments by name"}}
		return f
	}
	for _, p := range m.Function.Params {
		arg := field{Name: p.Name, Label: p.Name, Doc: p.Doc, Optional: p.Optional}
		arg.setType(p.Type, about.Types)
		f.Fields = append(f.Fields, arg)
	}
	if p := m.Function.Variadic; p != nil {
		f.Fields = append(f.Fields, field{Name: "...", Label: "further arguments", Kind: kindRest, Doc: p.Doc,
			Type: "an array of " + p.Type.String(), Optional: true})
	}
	if p := m.Function.Keywords; p != nil {
		f.Fields = append(f.Fields, field{Name: "**", Label: "other arguments", Kind: kindOthers, Doc: p.Doc,
			Type: "an object of " + p.Type.String(), Optional: true})
	}
	for _, r := range m.Function.Returns {
		if r.Doc != "" {
			f.Returns = append(f.Returns, r.Doc)
		}
	}
	return f
}

// setType sets the fields that depend on the type. t is nil if it is not known.
func (f *field) setType(t *signature.Type, types *signature.Types) {
	f.Kind = kindJSON
	if t == nil || t.Kind == signature.Any {
		f.Type = "JSON"
		return
	}
	f.Type = t.String()
	t = resolve(t, types)
	if t.Kind == signature.Union && len(t.Of) == 2 && t.Of[1].Kind == signature.Nil {
		f.Optional = true
		t = resolve(t.Of[0], types)
	}
	switch t.Kind {
	case signature.String:
		f.Kind = kindText
	case signature.Integer:
		f.Kind = kindInteger
	case signature.Number:
		f.Kind = kindNumber
	case signature.Boolean:
		f.Kind, f.Choices = kindChoice, []choice{{"true", "true"}, {"false", "false"}}
	case signature.Literal, signature.Union:
		if f.Choices = choices(t); f.Choices != nil {
			f.Kind = kindChoice
		}
	}
}

// resolve returns the type that a name stands for. A class is a table.
func resolve(t *signature.Type, types *signature.Types) *signature.Type {
	for range maxAliases {
		if t.Kind != signature.Named {
			return t
		}
		d := types.Find(t.Name)
		if d == nil || d.Type == nil {
			break
		}
		t = d.Type
	}
	return &signature.Type{}
}

// maxAliases bounds the names that refer to another name: they may form a circle.
const maxAliases = 8

// choices returns the values of a literal or of a union of literals, nil for another type.
func choices(t *signature.Type) []choice {
	of := t.Of
	if t.Kind == signature.Literal {
		of = []*signature.Type{t}
	}
	var all []choice
	for _, one := range of {
		if one.Kind != signature.Literal {
			return nil
		}
		doc, err := json.Marshal(one.Value)
		if err != nil {
			return nil
		}
		text, ok := one.Value.(string)
		if !ok {
			text = string(doc)
		}
		all = append(all, choice{JSON: string(doc), Text: text})
	}
	return all
}
