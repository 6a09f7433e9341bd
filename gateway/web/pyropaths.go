package web

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/host/dispatch"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// The paths of Pyro's own HTTP gateway, on a listener with pyro_paths = true: /pyro/<object>/<member>?name=text.
// Arguments are texts in the query. Calls and answers have the format of Pyro4 with JSON, as behind that gateway.
//
// Source: doc/http.md "Paths of Pyro's gateway".
const (
	pyroPath = "pyro"
	metaName = "$meta" // member that lists the others
	keyName  = "$key"  // argument with the key of Pyro's gateway
)

// pyroJSON is the format of calls and answers.
var pyroJSON = pyro.FormatOf(wire.Pyro4, codec.ByID(codec.JSON))

// maxQuery bounds the arguments of a request. A query is part of the header, whose bytes have another bound.
const maxQuery = 1000

// pyro serves a request to a path of Pyro's gateway.
func (e *exchange) pyro(path []string) {
	if e.r.Method != http.MethodGet && e.r.Method != http.MethodPost {
		e.methods(http.MethodGet, http.MethodPost)
		return
	}
	switch len(path) {
	case 1:
		e.w.Header().Set("Location", "/")
		e.w.WriteHeader(http.StatusFound)
		return
	case 3:
	default:
		e.problem(http.StatusNotFound, object.Errorf(object.CodeNotFound, "no such path"))
		return
	}
	args, err := e.pyroArguments()
	if err != nil {
		e.refuseBody(err)
		return
	}
	if err := e.correlatePyro(); err != nil {
		e.problem(http.StatusBadRequest, err)
		return
	}
	e.pyroAnswers = true
	id, name := object.ID(path[1]), object.Method(path[2])
	about, err := e.describePyro(id)
	switch {
	case err != nil:
		e.fail(err)
	case name == metaName:
		e.pyroMeta(about)
	default:
		e.pyroMember(about, id, name, args)
	}
}

// describePyro returns the description of an object.
func (e *exchange) describePyro(id object.ID) (*object.Description, error) {
	if id.Tenant() == object.HostTenant {
		return nil, dispatch.ErrUnknown
	}
	return e.s.cfg.Dispatcher.Describe(e.ctx, &e.caller, id)
}

// pyroMember calls a method or reads an attribute.
func (e *exchange) pyroMember(about *object.Description, id object.ID, name object.Method, args map[string]any) {
	m := findMember(about, name)
	r := dispatch.Request{Recheck: e.recheck, Correlated: e.correlated}
	c := &r.Call
	c.ID, c.Method, c.Caller, c.Corr, c.Format = id, name, e.caller, e.corr, pyroJSON.Format()
	method, params := string(name), []any(nil)
	switch {
	case m == nil, m.Method, !m.Get: // a member that the caller may not use is refused and recorded as in other calls
		c.Kind = object.Invoke
	case len(args) > 0:
		e.fail(&object.Error{Code: object.CodeInvalid, Class: "AssertionError",
			Msg: "attribute lookup can't have query parameters"})
		return
	default:
		c.Kind, method, params, args = object.Get, "__getattr__", []any{string(name)}, nil
	}
	var err error
	c.Payload, err = pyro.AppendCall(pyroJSON.Serializer, nil, string(id), method, params, args, c.Kind == object.Get)
	if err == nil {
		err = e.held.Add(len(c.Payload))
	}
	if err != nil {
		e.fail(e.s.cfg.Shares.Exhausted(err))
		return
	}
	var end func()
	if r.Session, end, err = e.session(); err != nil {
		e.fail(err)
		return
	}
	if c.Kind == object.Invoke && (m != nil && m.Oneway || e.pyroOption("oneway")) {
		if e.background(&r, end) {
			e.pyroValue(nil)
		}
		return
	}
	defer end()
	reply, err := e.s.cfg.Dispatcher.Do(e.ctx, &r)
	if err == nil && r.Stream != "" {
		e.s.cfg.Dispatcher.CloseStream(r.Stream, e.caller.Principal)
		e.fail(&object.Error{Code: object.CodeInvalid, Class: "ProtocolError", Msg: "result of call is an iterator"})
		return
	}
	if m == nil && object.CodeOf(err) == object.CodeNotFound { // the caller sees the object
		err = &object.Error{Code: object.CodeNotFound, Reason: object.ReasonMember, Msg: "no such method or attribute"}
	}
	e.answer(&r, reply, err)
}

// findMember returns a member of a description, nil for one that it does not have.
func findMember(about *object.Description, name object.Method) *object.Member {
	i, ok := slices.BinarySearchFunc(about.Members, name, func(m object.Member, name object.Method) int {
		return strings.Compare(string(m.Name), string(name))
	})
	if !ok {
		return nil
	}
	return &about.Members[i]
}

// pyroMeta answers with the names of an object's members.
func (e *exchange) pyroMeta(about *object.Description) {
	names := struct {
		Methods    []object.Method `json:"methods"`
		Attributes []object.Method `json:"attributes"`
	}{[]object.Method{}, []object.Method{}}
	for i := range about.Members {
		if m := &about.Members[i]; m.Method {
			names.Methods = append(names.Methods, m.Name)
		} else {
			names.Attributes = append(names.Attributes, m.Name)
		}
	}
	doc, err := json.Marshal(names)
	if err != nil {
		e.fail(err)
		return
	}
	e.pyroValue(doc)
}

// pyroArguments returns the arguments in the query and in the body of a form. An argument that occurs several times is
// a list. Empty ones are dropped.
func (e *exchange) pyroArguments() (map[string]any, error) {
	texts := []string{e.r.URL.RawQuery}
	if e.r.ContentLength != 0 {
		if e.r.Method == http.MethodGet {
			return nil, invalid("a GET request takes no body")
		}
		if e.r.Header.Get("Content-Encoding") != "" {
			return nil, errEncoded
		}
		if kind, err := one(e.r.Header, "Content-Type"); err != nil || kind != "application/x-www-form-urlencoded" {
			return nil, errNoForm
		}
		body, err := e.read(e.maxBody())
		if err != nil {
			return nil, err
		}
		if err := e.reserve(2 * len(body)); err != nil { // the text, and the arguments in it
			return nil, err
		}
		texts = append(texts, string(body))
	}
	args, n := map[string]any{}, 0
	for _, text := range texts {
		if n += strings.Count(text, "&") + 1; n > maxQuery {
			return nil, invalid("a request takes at most %d arguments", maxQuery)
		}
		values, err := url.ParseQuery(text)
		if err != nil {
			return nil, invalid("the arguments are not in the form name=text&name=text")
		}
		for name, list := range values {
			if name == keyName {
				return nil, invalid("a key in the address can be read by others: send the header Authorization")
			}
			for _, v := range list {
				if !utf8.ValidString(name) || !utf8.ValidString(v) {
					return nil, invalid("an argument is not UTF-8")
				}
				if v != "" {
					args[name] = appendArgument(args[name], v)
				}
			}
		}
	}
	return args, nil
}

// errNoForm refuses a body of another type.
var errNoForm = invalid("the body must be a form: send the header Content-Type: application/x-www-form-urlencoded")

// appendArgument returns the value of an argument that occurs once more.
func appendArgument(before any, v string) any {
	switch before := before.(type) {
	case string:
		return []any{before, v}
	case []any:
		return append(before, v)
	}
	return v
}

// correlatePyro takes the correlation id of the header that Pyro's gateway has.
func (e *exchange) correlatePyro() error {
	text, err := one(e.r.Header, "X-Pyro-Correlation-Id")
	if err != nil || text == "" {
		return err
	}
	e.corr, err = parseCorrelation("X-Pyro-Correlation-Id", text)
	e.correlated = true
	return err
}

// pyroOption reports whether the header X-Pyro-Options has an option.
func (e *exchange) pyroOption(name string) bool {
	return slices.Contains(strings.Split(e.r.Header.Get("X-Pyro-Options"), ","), name)
}

// pyroValue answers with a document.
func (e *exchange) pyroValue(doc []byte) {
	e.w.Header().Set("X-Pyro-Correlation-Id", object.CorrelationText(e.corr))
	e.document(http.StatusOK, "application/json; charset=utf-8", doc)
}

// pyroFailure answers with the exception for an error of a call.
func (e *exchange) pyroFailure(err error) {
	p := problemOf(err)
	known := object.AsError(err)
	switch known.Code { //nolint:exhaustive // the others have the status of their problem
	case object.CodeNotFound:
		if known.Reason == object.ReasonObject {
			id, _, _ := strings.Cut(strings.TrimPrefix(e.r.URL.Path, "/"+pyroPath+"/"), "/")
			err = &object.Error{Code: object.CodeNotFound, Class: "NamingError", Msg: "unknown name: " + id}
		}
		p.Status = http.StatusInternalServerError
	case object.CodeInvalid, object.CodeRaised:
		p.Status = http.StatusInternalServerError
	}
	doc, err := codec.Append(pyroJSON.Serializer, nil, pyro.NewException(wire.Pyro4, err))
	if err != nil { // an exception has texts only
		e.write(p)
		return
	}
	e.retryLater(p.Status)
	e.document(p.Status, "application/json; charset=utf-8", doc)
}
