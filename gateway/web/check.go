package web

import (
	"encoding/hex"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/hearthhost/hearth/object"
)

// checkRequest checks the parts of a request that do not depend on the caller, and answers preflight requests. handled
// is true if the request is answered.
func (e *exchange) checkRequest() (path []string, handled bool) {
	if err := e.correlate(); err != nil {
		e.problem(http.StatusBadRequest, err)
		return nil, true
	}
	r := e.r
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions:
	default:
		e.methods(http.MethodGet, http.MethodPost, http.MethodPut)
		return nil, true
	}
	if len(r.TransferEncoding) > 0 {
		e.w.Header().Set("Connection", "close")
		e.problem(http.StatusLengthRequired,
			invalid("the body needs a Content-Length; Transfer-Encoding is not accepted"))
		return nil, true
	}
	if !validLength(r) {
		e.problem(http.StatusBadRequest, invalid("the Content-Length is not the length of the body"))
		return nil, true
	}
	if !e.validHost() {
		e.problem(http.StatusMisdirectedRequest, invalid("the header Host does not name this listener; "+
			"the setting hosts of the listener lists its names"))
		return nil, true
	}
	if e.crossOrigin() {
		return nil, true
	}
	encoded := r.URL.EscapedPath()
	if e.l.settings.HTTP.PyroPaths && encoded == "/"+pyroPath+"/" {
		encoded = "/" + pyroPath
	}
	path, err := splitPath(encoded)
	if err != nil {
		e.problem(http.StatusBadRequest, err)
		return nil, true
	}
	return path, false
}

// validLength reports whether a request has one Content-Length at most, which net/http uses. In HTTP/2, net/http
// ignores a length of a request without a body, and all lengths but the first.
//
// Source: RFC 9113, section 8.1.1.
func validLength(r *http.Request) bool {
	values := r.Header.Values("Content-Length")
	return r.ProtoMajor < 2 || len(values) == 0 ||
		len(values) == 1 && values[0] == strconv.FormatInt(r.ContentLength, 10)
}

// invalid returns an error of a request.
func invalid(format string, args ...any) *object.Error {
	e := object.Errorf(object.CodeInvalid, format, args...)
	e.Reason = object.ReasonValue
	return e
}

// validHost reports whether the header Host names the listener. A page of another name whose address was rebound to
// this machine has another Host.
func (e *exchange) validHost() bool {
	host := strings.ToLower(e.r.Host)
	name := host
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		name = host[:i]
	}
	if hosts := e.l.settings.HTTP.Hosts; len(hosts) > 0 {
		return slices.Contains(hosts, host) || slices.Contains(hosts, name)
	}
	if name == "localhost" {
		return true
	}
	// An address cannot be rebound. It is the one that the client has connected to.
	addr, err := netip.ParseAddr(strings.Trim(name, "[]"))
	if err != nil {
		return false
	}
	local, err := netip.ParseAddrPort(e.conn.peer.Endpoint.Local)
	return err == nil && addr == local.Addr().Unmap()
}

// crossOrigin refuses requests of pages of other origins, except those that the policy lists, and answers their
// preflight requests. It reports true if the request is answered.
func (e *exchange) crossOrigin() bool {
	r, h := e.r, e.w.Header()
	origin := r.Header.Get("Origin")
	trusted := origin != "" && slices.Contains(e.l.settings.HTTP.CORS, origin)
	if len(e.l.settings.HTTP.CORS) > 0 {
		h.Add("Vary", "Origin")
	}
	if trusted {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", exposedHeaders)
	}
	if r.Method == http.MethodOptions {
		if !trusted || r.Header.Get("Access-Control-Request-Method") == "" {
			e.methods(http.MethodGet, http.MethodPost, http.MethodPut)
			return true
		}
		h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE")
		h.Set("Access-Control-Allow-Headers", requestHeaders)
		h.Set("Access-Control-Max-Age", "600")
		e.w.WriteHeader(http.StatusNoContent)
		return true
	}
	if trusted {
		return false
	}
	// Reading an attribute may run a script, so that GET is checked too. A user may follow a link to the page of the
	// listener itself.
	site := r.Header.Get("Sec-Fetch-Site")
	foreign := e.l.browsers.Check(r) != nil || site != "" && site != "same-origin" && site != "none" ||
		origin != "" && !sameOrigin(origin, r.Host)
	linked := isPage(r) && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
	if foreign && !linked {
		e.problem(http.StatusForbidden, &object.Error{Code: object.CodeDenied,
			Msg: "requests of pages of other origins are refused; " +
				"the setting cors of the listener lists permitted origins"})
		return true
	}
	return false
}

// Headers that pages of permitted origins may send and read.
const (
	requestHeaders = "Authorization, Content-Type, Accept, Idempotency-Key, Hearth-Session, Hearth-Correlation-Id, " +
		"Prefer, Traceparent"
	exposedHeaders = "Hearth-Session, Hearth-Correlation-Id, Retry-After, WWW-Authenticate"
)

// sameOrigin reports whether an origin is that of the host of a request, with any scheme.
func sameOrigin(origin, host string) bool {
	_, at, ok := strings.Cut(origin, "://")
	return ok && strings.EqualFold(at, host)
}

// splitPath returns the segments of an encoded path. Each of them is decoded once. Only ':' may be encoded, because no
// other byte of a segment needs it: a path has one form only, and cannot contain separators or dots in disguise.
func splitPath(encoded string) ([]string, error) {
	if encoded == "/" {
		return nil, nil
	}
	rest, ok := strings.CutPrefix(encoded, "/")
	if !ok {
		return nil, invalid("the path must begin with a slash")
	}
	segments := strings.Split(rest, "/")
	if len(segments) > maxSegments {
		return nil, invalid("the path has more than %d segments", maxSegments)
	}
	for i, s := range segments {
		s = strings.ReplaceAll(strings.ReplaceAll(s, "%3A", ":"), "%3a", ":")
		if s == "" || s == "." || s == ".." || strings.Trim(s, segmentBytes) != "" {
			return nil, invalid("segment %d of the path is empty, or has bytes other than letters, digits, and one of "+
				"$-._~:; only ':' may be percent-encoded", i+1)
		}
		segments[i] = s
	}
	return segments, nil
}

const (
	maxSegments  = 8
	segmentBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789$-._~:"
)

// one returns the value of a header that a request may have once. The error is that of a repeated one.
func one(h http.Header, name string) (string, error) {
	values := h.Values(name)
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	}
	return "", invalid("the header %s occurs %d times", name, len(values))
}

// correlationID returns the correlation id of a request: a UUID in Hearth-Correlation-Id, or the trace id of a W3C
// traceparent.
func correlationID(h http.Header) (id [16]byte, sent bool, err error) {
	text, err := one(h, "Hearth-Correlation-Id")
	if err != nil {
		return id, false, err
	}
	if text != "" {
		id, err = parseCorrelation("Hearth-Correlation-Id", text)
		return id, err == nil, err
	}
	// A malformed traceparent is ignored, as its specification requires.
	if parts := strings.Split(h.Get("Traceparent"), "-"); len(parts) >= 4 && len(parts[0]) == 2 && parts[0] != "ff" &&
		len(parts[1]) == 32 && len(parts[2]) == 16 {
		if _, err := hex.Decode(id[:], []byte(parts[1])); err == nil && id != ([16]byte{}) {
			return id, false, nil
		}
	}
	return [16]byte{}, false, nil
}

// parseCorrelation returns the UUID in a header.
func parseCorrelation(header, text string) (id [16]byte, err error) {
	plain := strings.ReplaceAll(text, "-", "")
	if len(plain) != 2*len(id) {
		return id, invalid("%s must be a UUID", header)
	}
	if _, err := hex.Decode(id[:], []byte(plain)); err != nil || id == ([16]byte{}) {
		return id, invalid("%s must be a UUID", header)
	}
	return id, nil
}
