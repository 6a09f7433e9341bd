package rule

import (
	"fmt"
	"net/textproto"
	"slices"
	"strings"
)

// Field is one header.
type Field struct{ Name, Value string }

// Bounds of the headers of a request.
const (
	MaxFields      = 64
	MaxHeaderBytes = 32 << 10
)

// reserved are the headers that the host sets, or that belong to one connection.
var reserved = []string{
	"Accept-Encoding", "Connection", "Content-Length", "Expect", "Host", "Http2-Settings", "Keep-Alive", "Te",
	"Trailer", "Transfer-Encoding", "Upgrade",
}

// Headers checks the headers of a request. The result has canonical names. The error does not have values.
func (b *Block) Headers(fields []Field) ([]Field, error) {
	if len(fields) > MaxFields {
		return nil, fmt.Errorf("%d headers, at most %d", len(fields), MaxFields)
	}
	injected := b.InjectedHeaders()
	out := make([]Field, 0, len(fields))
	size := 0
	for _, f := range fields {
		if !IsToken(f.Name) {
			return nil, fmt.Errorf("%.80q is not the name of a header", f.Name)
		}
		if strings.IndexFunc(f.Value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) >= 0 {
			return nil, fmt.Errorf("header %s has a line break or another control byte", f.Name)
		}
		if size += len(f.Name) + len(f.Value) + 4; size > MaxHeaderBytes {
			return nil, fmt.Errorf("the headers have more than %d bytes", MaxHeaderBytes)
		}
		name := textproto.CanonicalMIMEHeaderKey(f.Name)
		// Some servers read '_' as '-'.
		same := textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(name, "_", "-"))
		if slices.Contains(reserved, same) || strings.HasPrefix(same, "Proxy-") {
			return nil, fmt.Errorf("header %s is set by the host", name)
		}
		if slices.ContainsFunc(injected, func(h string) bool {
			return textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(h, "_", "-")) == same
		}) {
			return nil, fmt.Errorf("header %s is injected by the policy", name)
		}
		out = append(out, Field{name, strings.TrimSpace(f.Value)})
	}
	return out, nil
}

// CheckInjected returns an error unless the policy may inject a header of this name.
func CheckInjected(name string) error {
	same := textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(name, "_", "-"))
	switch {
	case !IsToken(name):
		return fmt.Errorf("%q is not the name of a header", name)
	case slices.Contains(reserved, same) || strings.HasPrefix(same, "Proxy-"):
		return fmt.Errorf("header %s is set by the host", name)
	}
	return nil
}

// IsToken reports whether s is a token of HTTP. Source: RFC 9110, section 5.6.2.
func IsToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != "" && len(s) <= 256
}

// CheckMethod returns an error unless the policy may permit a method. TRACE returns the credentials to the sender, and
// CONNECT opens a tunnel.
func CheckMethod(s string) error {
	switch {
	case s == "TRACE" || s == "TRACK" || s == "CONNECT":
		return fmt.Errorf("%s cannot be permitted", s)
	case !IsToken(s) || s != strings.ToUpper(s) || len(s) > 20:
		return fmt.Errorf("%q is not a method in upper case", s)
	}
	return nil
}
