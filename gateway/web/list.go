package web

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/hearthhost/hearth/gateway/web/openapi"
	"github.com/hearthhost/hearth/object"
)

// list answers with the ids of the objects that the caller may call.
func (e *exchange) list() {
	if e.r.Method != http.MethodGet {
		e.methods(http.MethodGet)
		return
	}
	e.json(struct {
		Objects []object.ID `json:"objects"`
	}{e.s.visible(e.caller)})
}

// visible returns the objects that a caller may call, sorted.
func (s *Server) visible(caller object.Caller) []object.ID {
	return s.cfg.Snapshot().Listed.Visible(caller)
}

// maxCallableBytes bounds the descriptions in a result of Callable, as JSON: their texts are the scripts'.
const maxCallableBytes = 4 << 20

// Callable returns the description of each object that a caller may call, with the members that it may call. It is
// decided under the policy in force. Objects that cannot be described are omitted. most bounds the objects, and
// maxCallableBytes their descriptions.
func (s *Server) Callable(ctx context.Context, caller object.Caller, most int) []*object.Description {
	return s.callable(ctx, caller, most, func(object.ID) bool { return true })
}

// callable is Callable for the objects of a filter.
func (s *Server) callable(
	ctx context.Context, caller object.Caller, most int, filter func(object.ID) bool,
) []*object.Description {
	var out []*object.Description
	left := maxCallableBytes
	for _, id := range s.visible(caller) {
		if len(out) == most || ctx.Err() != nil {
			break
		}
		if !filter(id) {
			continue
		}
		about, err := s.cfg.Dispatcher.Describe(ctx, &caller, id)
		if err != nil {
			continue
		}
		doc, err := json.Marshal(about)
		if left -= len(doc); err != nil || left < 0 {
			break
		}
		out = append(out, about)
	}
	return out
}

// describe answers with the description of an object.
func (e *exchange) describe(id object.ID) {
	if e.r.Method != http.MethodGet {
		e.methods(http.MethodGet)
		return
	}
	about, err := e.s.cfg.Dispatcher.Describe(e.ctx, &e.caller, id)
	if err != nil {
		e.fail(err)
		return
	}
	e.json(about)
}

// maxDocument bounds the objects of an OpenAPI document.
const maxDocument = 500

// openAPI answers with the OpenAPI document of the objects and members that the caller may call.
func (e *exchange) openAPI() {
	if e.r.Method != http.MethodGet {
		e.methods(http.MethodGet)
		return
	}
	info := openapi.Info{Title: "Hearth", Version: e.s.cfg.Version}
	e.json(openapi.Document(info, e.s.Callable(e.ctx, e.caller, maxDocument)))
}

// json answers with a value of the host.
func (e *exchange) json(v any) {
	doc, err := json.Marshal(v)
	if err != nil {
		e.fail(err)
		return
	}
	if err := e.held.Add(len(doc)); err != nil {
		e.fail(e.s.cfg.Shares.Exhausted(err))
		return
	}
	e.value(doc)
}
