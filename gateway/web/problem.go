package web

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"

	"github.com/hearthhost/hearth/codec/web"
	"github.com/hearthhost/hearth/object"
)

// Problem is the body of an error, as RFC 9457 defines it.
type Problem struct {
	Type   string `json:"type"` // "urn:hearth:problem:" and the code of the error
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Executed is whether the call was executed: "no", "yes" (or a part of it), or "unknown".
	Executed  object.Executed `json:"executed"`
	Class     string          `json:"class,omitempty"` // of an exception
	Traceback []string        `json:"traceback,omitempty"`
}

// typePrefix is the prefix of the type of a problem.
const typePrefix = "urn:hearth:problem:"

// statusOf returns the status for an error of a call.
func statusOf(e *object.Error, state object.Executed) int {
	switch e.Code {
	case object.CodeInvalid:
		return http.StatusBadRequest
	case object.CodeTooLarge:
		if state == object.NotExecuted {
			return http.StatusRequestEntityTooLarge
		}
	case object.CodeUnauthenticated:
		return http.StatusUnauthorized
	case object.CodeDenied:
		return http.StatusForbidden
	case object.CodeNotFound:
		return http.StatusNotFound
	case object.CodeExhausted:
		if state == object.NotExecuted {
			return http.StatusTooManyRequests
		}
	case object.CodeDeadline, object.CodeCanceled, object.CodeUnavailable, object.CodeRetired:
		if state == object.NotExecuted {
			return http.StatusServiceUnavailable
		}
		return http.StatusGatewayTimeout
	}
	return http.StatusInternalServerError
}

// problemOf returns the problem for an error of a call.
func problemOf(err error) *Problem {
	e := object.AsError(err)
	state := e.Executed()
	p := &Problem{
		Type:     typePrefix + e.Code.String(),
		Status:   statusOf(e, state),
		Detail:   object.SafeText(e),
		Executed: state,
		Class:    e.Class,
	}
	if e.Code == object.CodeInternal {
		p.Detail = "internal error"
	}
	return p
}

// retryAfter is the value of Retry-After, in seconds, for a call that was not executed and may succeed later.
const retryAfter = "1"

// fail answers with the error of a call.
func (e *exchange) fail(err error) {
	if object.CodeOf(err) == object.CodeInternal {
		e.log(slog.LevelError, "internal error", "principal", string(e.caller.Principal),
			"call", object.CorrelationText(e.corr), "path", e.r.URL.Path, "err", err)
	}
	if e.pyroAnswers {
		e.pyroFailure(err)
		return
	}
	e.write(problemOf(err))
}

// problem answers with an error of the request itself: the call was not executed.
func (e *exchange) problem(status int, err error) {
	p := problemOf(err)
	p.Status, p.Executed = status, object.NotExecuted
	e.write(p)
}

// methods answers a request whose method its path does not have.
func (e *exchange) methods(allowed ...string) {
	e.w.Header().Set("Allow", strings.Join(allowed, ", "))
	e.problem(http.StatusMethodNotAllowed, invalid("the path does not have this method"))
}

// raised answers with the exception of a reply.
func (e *exchange) raised(payload []byte) { e.write(exceptionProblem(payload)) }

// exceptionProblem returns the problem for an exception dict.
func exceptionProblem(payload []byte) *Problem {
	p := &Problem{
		Type:     typePrefix + object.CodeRaised.String(),
		Status:   http.StatusInternalServerError,
		Executed: object.WasExecuted,
	}
	x, err := web.ScanException(payload)
	if err != nil {
		p.Detail = "the object raised an exception that cannot be read"
		return p
	}
	p.Class, p.Detail, p.Traceback = x.Class, x.Message, x.Traceback
	return p
}

// write writes a problem.
func (e *exchange) write(p *Problem) {
	e.retryLater(p.Status)
	e.document(p.Status, "application/problem+json", p.encode())
}

// retryLater sets the header Retry-After for a status of calls that may succeed later.
func (e *exchange) retryLater(status int) {
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		e.w.Header().Set("Retry-After", retryAfter)
	}
}

// encode returns the JSON of a problem, with a newline.
func (p *Problem) encode() []byte {
	if p.Title == "" {
		p.Title = http.StatusText(p.Status)
	}
	p.Detail = strings.ToValidUTF8(p.Detail, "\ufffd")
	b, err := json.Marshal(p)
	if err != nil { // a problem has texts only
		return []byte("{}\n")
	}
	return append(b, '\n')
}
