package web

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/hearthhost/hearth/host/dispatch"
	"github.com/hearthhost/hearth/object"
)

// errEnded is the error of a stream whose client reads no more.
var errEnded = errors.New("the client reads no more")

// stream answers with the items of a stream: events for a client that accepts text/event-stream, otherwise one JSON
// document a line. An item is requested when the one before it is written, so that a slow client slows the object down.
func (e *exchange) stream(r *dispatch.Request) {
	defer e.s.cfg.Dispatcher.CloseStream(r.Stream, e.caller.Principal)
	events := accepts(e.r.Header, "text/event-stream")
	h := e.w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	if events {
		h.Set("Content-Type", "text/event-stream")
	}
	h.Set("X-Accel-Buffering", "no")
	e.w.WriteHeader(http.StatusOK)
	if e.flush() != nil {
		return
	}
	for {
		item, err := e.next(r, events)
		switch {
		case errors.Is(err, errEnded):
			panic(http.ErrAbortHandler)
		case isEnd(err):
			if events {
				_ = e.send([]byte("event: end\ndata:\n\n"))
			}
			return
		case err != nil:
			e.endStream(problemOf(err), events)
			return
		case item.Exception:
			e.endStream(exceptionProblem(item.Payload), events)
			return
		}
		if e.send(line(item.Payload, "", events)) != nil {
			return
		}
	}
}

// isEnd reports whether an error is the regular end of a stream.
func isEnd(err error) bool {
	e, ok := errors.AsType[*object.Error](err)
	return ok && e.Reason == object.ReasonStreamEnd
}

// next fetches an item, and sends heartbeats meanwhile.
func (e *exchange) next(r *dispatch.Request, events bool) (object.Reply, error) {
	type result struct {
		reply object.Reply
		err   error
	}
	done := make(chan result, 1)
	go func() { // ends with the item, whose time is bounded, or with the request
		reply, err := e.s.cfg.Dispatcher.Next(e.ctx, &r.Call, r.Stream)
		done <- result{reply, err}
	}()
	// Proxies and clients keep a connection on which something arrives.
	beat := time.NewTicker(e.s.cfg.Timeouts.Heartbeat)
	defer beat.Stop()
	var failed error
	for {
		select {
		case got := <-done:
			if failed != nil || e.ctx.Err() != nil {
				return object.Reply{}, errEnded
			}
			return got.reply, got.err
		case <-beat.C:
			comment := []byte("\n")
			if events {
				comment = []byte(":\n\n")
			}
			if failed = e.send(comment); failed != nil {
				e.cancel(dispatch.ClientGone)
			}
		case <-e.s.cfg.Life.Done():
			e.cancel(dispatch.HostStopping)
			<-done
			return object.Reply{}, object.ErrShutdown
		}
	}
}

// line returns the text of an item. A document of a worker has no newline; the check keeps a line one line.
func line(doc []byte, event string, events bool) []byte {
	if bytes.ContainsAny(doc, "\r\n") {
		doc = []byte(strings.NewReplacer("\r", " ", "\n", " ").Replace(string(doc)))
	}
	var b []byte
	if events {
		if event != "" {
			b = append(append(append(b, "event: "...), event...), '\n')
		}
		return append(append(append(b, "data: "...), doc...), "\n\n"...)
	}
	return append(append(b, doc...), '\n')
}

// endStream sends the problem that ends a stream. The answer is then cut off, so that no client takes it as complete.
func (e *exchange) endStream(p *Problem, events bool) {
	_ = e.send(line(bytes.TrimSuffix(p.encode(), []byte("\n")), "error", events))
	panic(http.ErrAbortHandler)
}

// send writes a part of an answer. It waits until the client has room for it.
func (e *exchange) send(b []byte) error {
	_ = e.control.SetWriteDeadline(time.Now().Add(e.s.cfg.Timeouts.Write))
	if _, err := e.w.Write(b); err != nil {
		return err
	}
	return e.flush()
}

func (e *exchange) flush() error { return e.control.Flush() }

// accepts reports whether the header Accept names a media type.
func accepts(h http.Header, kind string) bool {
	for _, v := range h.Values("Accept") {
		for part := range strings.SplitSeq(v, ",") {
			name, _, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(name), kind) {
				return true
			}
		}
	}
	return false
}
