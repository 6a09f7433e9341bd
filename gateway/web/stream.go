package web

import "github.com/hearthhost/hearth/host/dispatch"

// stream answers with the items of a stream.
func (e *exchange) stream(r *dispatch.Request) {
	e.s.cfg.Dispatcher.CloseStream(r.Stream, e.caller.Principal)
	e.w.WriteHeader(501)
}
