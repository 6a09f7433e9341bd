package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/hearthhost/hearth/host/admit"
	"github.com/hearthhost/hearth/object"
)

// bodyStep is the least growth of a buffer for a body of unknown length, in bytes. The buffer doubles: each byte is
// copied a few times at most.
const bodyStep = 32 << 10

// errMediaType refuses a body that is not declared as JSON. Pages of other origins cannot declare it.
var errMediaType = invalid("the body must be JSON in UTF-8: send the header Content-Type: application/json")

// errEncoded refuses a compressed body.
var errEncoded = invalid("compressed bodies are not accepted: send no header Content-Encoding")

// body returns the body of a request, whose bytes it counts before it allocates memory for them.
func (e *exchange) body(kind object.CallKind) ([]byte, error) {
	length := e.r.ContentLength
	switch {
	case kind == object.Get && length != 0:
		return nil, invalid("reading an attribute takes no body")
	case length == 0:
		return nil, nil
	case e.r.Header.Get("Content-Encoding") != "":
		return nil, errEncoded
	case !e.contentType():
		return nil, errMediaType
	}
	return e.read(e.maxBody())
}

// maxBody returns the bound on the body of a request.
func (e *exchange) maxBody() int { return e.s.cfg.Snapshot().Policy.MessageBytes() }

// read returns the body of a request, of at most most bytes. Its time limit ends with success only: after an
// error, net/http reads a part of the rest, and must not wait for it.
func (e *exchange) read(most int) (body []byte, err error) {
	defer func() {
		if err == nil {
			_ = e.control.SetReadDeadline(time.Time{})
		}
	}()
	length := e.r.ContentLength
	if length > int64(most) {
		return nil, bodyTooLarge(most)
	}
	by := time.Now().Add(e.s.cfg.Timeouts.Body)
	in := &timedBody{e: e, by: by}
	if length >= 0 {
		if err := e.reserve(int(length)); err != nil {
			return nil, err
		}
		out := make([]byte, length)
		_, err := io.ReadFull(in, out)
		return out, bodyError(err)
	}
	return e.readGrowing(in, most)
}

// readGrowing returns a body of at most most bytes. Its buffer grows with the bytes that have arrived.
func (e *exchange) readGrowing(in io.Reader, most int) ([]byte, error) {
	var out []byte
	for {
		if len(out) == cap(out) {
			step := min(max(bodyStep, len(out)), most+1-len(out))
			if err := e.reserve(step); err != nil {
				return nil, err
			}
			grown := make([]byte, len(out), len(out)+step)
			copy(grown, out)
			out = grown
		}
		n, err := in.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		switch {
		case len(out) > most:
			return nil, bodyTooLarge(most)
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, bodyError(err)
		}
	}
}

// reserve counts n bytes of the principal. It waits for room.
func (e *exchange) reserve(n int) error {
	err := e.held.Add(n)
	if err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(e.s.cfg.Life, admit.WaitTimeout)
	defer cancel()
	stop := context.AfterFunc(e.ctx, cancel)
	defer stop()
	if err := e.held.Wait(ctx, n); err != nil {
		return e.s.cfg.Shares.Exhausted(err)
	}
	return nil
}

func bodyTooLarge(most int) error {
	return object.Errorf(object.CodeTooLarge, "limit exceeded: a body of more than %d bytes; not executed", most)
}

// bodyError returns the error of a body that did not arrive.
func bodyError(err error) error {
	if err == nil {
		return nil
	}
	return &object.Error{Code: object.CodeDeadline, Err: err, Msg: "the body did not arrive; not executed"}
}

// timedBody reads a body, and bounds the time between its parts and the time of all.
type timedBody struct {
	e  *exchange
	by time.Time
}

// Read implements [io.Reader].
func (b *timedBody) Read(p []byte) (int, error) {
	next := time.Now().Add(b.e.s.cfg.Timeouts.Stall)
	if next.After(b.by) {
		next = b.by
	}
	if err := b.e.control.SetReadDeadline(next); err != nil {
		return 0, err
	}
	return b.e.r.Body.Read(p)
}

// refuseBody answers a request whose body was not accepted, and closes its connection: the rest of the body is not
// read.
func (e *exchange) refuseBody(err error) {
	e.w.Header().Set("Connection", "close")
	switch {
	case errors.Is(err, errMediaType), errors.Is(err, errEncoded), errors.Is(err, errNoForm):
		e.problem(http.StatusUnsupportedMediaType, err)
	case object.CodeOf(err) == object.CodeDeadline:
		e.problem(http.StatusRequestTimeout, err)
	default:
		e.fail(err)
	}
}
