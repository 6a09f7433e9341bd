package sandbox

import (
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/convert"
	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/values"
)

// location returns the address of the host that the running call's caller used, "" for none.
func (s *State) location() string {
	if s.req == nil {
		return ""
	}
	return s.req.Location
}

// callTable implements hearth.call(). It returns the data that the client sent beside the arguments: annotations, the
// value of its handshake and the info of a blob. None of it is verified.
func (s *State) callTable(L *lua.Thread) int {
	r := s.req
	if r == nil {
		L.RaiseError("hearth.call: no call is running")
	}
	L.Charge(callerSteps)
	t := L.NewTable(0, 3)
	annotations := L.NewTable(0, len(r.Annotations))
	for _, a := range r.Annotations {
		s.types.PushBytes(L, string(a.Value))
		annotations.SetString(a.ID, L.Get(-1))
		L.Pop(1)
	}
	t.SetString("annotations", annotations.Value())
	if r.Handshake != nil {
		t.SetString("handshake", s.decoded(L, "handshake", r.Handshake))
	}
	if r.Blob != nil {
		blob := L.NewTable(0, 2)
		blob.SetString("info", s.decoded(L, "blob", r.Blob.Info))
		blob.SetString("format", lua.String(r.Blob.Format))
		t.SetString("blob", blob.Value())
	}
	L.Push(t.Value())
	return 1
}

// decoded returns a value that the client sent. It raises an error for one that no argument could be.
func (s *State) decoded(L *lua.Thread, what string, value func(object.Sink) error) lua.Value {
	// The builder is free while Lua runs: each use begins with Start.
	err := s.build.Read(convert.ForValues, nil, value)
	if L.Charge(1); err != nil {
		L.RaiseError("hearth.call: %s: %s", what, object.SafeText(err))
	}
	v := s.build.Value()
	s.build.Reset()
	if v.IsNil() {
		return s.types.Null
	}
	return v
}

// annotate implements hearth.annotate(id, value): an annotation of the running call's reply, nil to remove it.
func (s *State) annotate(L *lua.Thread) int {
	id := L.CheckString(1)
	switch {
	case s.req == nil:
		L.RaiseError("hearth.annotate: no call is running")
	case object.ReservedAnnotation(id):
		L.ArgError(1, "%q is reserved", id)
	case !object.ValidAnnotation(id):
		L.ArgError(1, "an id of four letters, digits, '_' or '-' expected")
	}
	list := make([]object.Annotation, 0, len(s.annotations)+1)
	for _, a := range s.annotations {
		if a.ID != id {
			list = append(list, a)
		}
	}
	if !L.Get(2).IsNil() {
		text, ok := L.Get(2).AsString()
		if b, isBytes := values.Of(L.Get(2)).(values.Bytes); isBytes {
			text, ok = string(b), true
		}
		if !ok {
			L.ArgError(2, "bytes or a string expected")
		}
		L.Charge(annotationSteps + len(text)>>2)
		text = text[:min(len(text), object.MaxAnnotationBytes+1)]
		list = append(list, object.Annotation{ID: id, Value: []byte(text)})
	}
	if err := object.CheckAnnotations(list); err != nil {
		L.RaiseError("hearth.annotate: %s", object.SafeText(err))
	}
	s.annotations = list
	return 0
}
