package web

import (
	"bytes"
	"net/http"

	"github.com/hearthhost/hearth/gateway/web/page"
)

// isPage reports whether a request is for the page of the listener.
func isPage(r *http.Request) bool { return r.Method == http.MethodGet && r.URL.Path == "/" }

// page answers with the page of the objects and members that the caller may call.
func (e *exchange) page() {
	if e.r.Method != http.MethodGet {
		e.methods(http.MethodGet)
		return
	}
	p := page.Page{Caller: e.caller.Principal, Objects: e.s.Callable(e.ctx, e.caller, maxDocument)}
	p.Omitted = max(0, len(e.s.visible(e.caller))-len(p.Objects))
	e.html(http.StatusOK, &p)
}

// html answers with a page.
func (e *exchange) html(status int, p *page.Page) {
	var out bytes.Buffer
	if err := p.Write(&out); err != nil {
		e.fail(err)
		return
	}
	if e.held.Account != nil { // the caller is identified
		if err := e.held.Add(out.Len()); err != nil {
			e.fail(e.s.cfg.Shares.Exhausted(err))
			return
		}
	}
	h := e.w.Header()
	h.Set("Content-Security-Policy", page.Policy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	e.document(status, "text/html; charset=utf-8", out.Bytes())
}
