package web

import (
	"bytes"
	"net"
	"strconv"
)

// strict is an HTTP/1 connection that passes only requests which every program delimits in the same way. A proxy in
// front of the host and the host itself can then never take different bytes for the next request. It rejects line ends
// other than CRLF, continued header lines, control characters, a repeated or malformed Content-Length, and
// Transfer-Encoding together with Content-Length. Package net/http accepts some of these.
//
// A rejected request is replaced by bytes that net/http answers with 400, after which it closes the connection.
type strict struct {
	net.Conn
	framing  framing
	rejected []byte // rest of the bytes that replace a rejected request; nil: no request is rejected
}

// newStrict returns the connection for HTTP/1.
func newStrict(nc net.Conn) net.Conn { return &strict{Conn: nc} }

// Read implements [net.Conn].
func (s *strict) Read(p []byte) (int, error) {
	if s.rejected != nil {
		return s.replace(p)
	}
	n, err := s.Conn.Read(p)
	if valid := s.framing.add(p[:n]); valid < n {
		s.rejected = []byte(rejection)
		if valid == 0 {
			return s.replace(p)
		}
		return valid, nil
	}
	return n, err
}

// rejection makes a header malformed, wherever in a line it begins.
const rejection = "\x00\r\n\x00\r\n\r\n"

// replace returns a part of the rejection. Later reads find the end of the connection.
func (s *strict) replace(p []byte) (int, error) {
	if len(s.rejected) == 0 {
		return 0, net.ErrClosed
	}
	n := copy(p, s.rejected)
	s.rejected = s.rejected[n:]
	return n, nil
}

// framing follows the requests of a connection by their header lines and lengths.
type framing struct {
	body    int64  // bytes of the body that follow
	opaque  bool   // the rest is not followed: the request is answered and the connection closed
	inLine  bool   // a byte of the line was read
	cr      bool   // the last byte was CR
	first   bool   // the request line is over
	name    []byte // name of the header line so far, at most maxName bytes
	value   []byte // value of the header line, if it is one that delimits
	colon   bool   // the name is complete
	watched bool   // the value is kept

	hasLength, hasEncoding bool
	length                 int64
}

// maxHeaderName is the longest name of a header that delimits requests.
const maxHeaderName = len("Transfer-Encoding")

// add takes the next bytes and returns how many of them are valid.
func (f *framing) add(b []byte) (valid int) {
	for i := 0; i < len(b); i++ {
		if f.opaque {
			return len(b)
		}
		if f.body > 0 {
			n := min(int64(len(b)-i), f.body)
			f.body -= n
			i += int(n) - 1
			continue
		}
		if !f.header(b[i]) {
			return i
		}
	}
	return len(b)
}

// header takes one byte of a header section. It reports false for an invalid one.
func (f *framing) header(c byte) bool {
	switch {
	case c == '\n':
		return f.cr && f.endLine()
	case f.cr: // CR without LF
		return false
	case c == '\r':
		f.cr = true
		return true
	case c < ' ' && c != '\t' || c == 0x7f:
		return false
	case !f.inLine:
		if f.first && (c == ' ' || c == '\t') { // a continued line
			return false
		}
		f.inLine = true
	}
	if !f.first {
		return true
	}
	switch {
	case f.colon:
		if f.watched {
			f.value = append(f.value, c)
		}
	case c == ':':
		f.colon = true
		f.watched = bytes.EqualFold(f.name, []byte("Content-Length")) ||
			bytes.EqualFold(f.name, []byte("Transfer-Encoding"))
	case c == ' ' || c == '\t': // before the colon
		return false
	case len(f.name) <= maxHeaderName:
		f.name = append(f.name, c)
	}
	// Values that delimit are short.
	return len(f.value) <= 64
}

// endLine ends a line. It reports false for an invalid one.
func (f *framing) endLine() bool {
	f.cr = false
	if !f.inLine {
		return f.endHeader()
	}
	f.inLine = false
	if !f.first {
		f.first = true
		return true
	}
	ok := f.colon
	if f.watched {
		ok = f.delimit()
	}
	f.name, f.value, f.colon, f.watched = f.name[:0], f.value[:0], false, false
	return ok
}

// delimit takes a header that delimits the request.
func (f *framing) delimit() bool {
	if len(f.name) == len("Transfer-Encoding") {
		ok := !f.hasEncoding && !f.hasLength
		f.hasEncoding = true
		return ok
	}
	text := bytes.Trim(f.value, " \t")
	n, err := strconv.ParseUint(string(text), 10, 63)
	if f.hasLength || f.hasEncoding || err != nil || text[0] == '+' {
		return false
	}
	f.hasLength, f.length = true, int64(n)
	return true
}

// endHeader ends a header section. An empty line before a request is rejected: it has no use.
func (f *framing) endHeader() bool {
	if !f.first {
		return false
	}
	body, opaque := f.length, f.hasEncoding
	*f = framing{body: body, opaque: opaque, name: f.name[:0], value: f.value[:0]}
	return true
}
