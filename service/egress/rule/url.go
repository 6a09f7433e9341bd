package rule

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxURLBytes bounds the URL of a request.
const MaxURLBytes = 8 << 10

// Target is a URL in parts. Only [ParseURL] makes it.
type Target struct {
	Scheme string // "https" or "http"
	Host   string // lower case; an IPv6 address without brackets
	Port   uint16
	Path   string // encoded, begins with "/"
	Query  string // encoded, without "?"
}

// ParseURL reads an absolute URL. Every URL that two parsers could read in two ways is an error: there is no user,
// fragment, backslash, space, byte outside ASCII, incomplete escape, or dot segment in any encoding.
func ParseURL(s string) (t Target, err error) {
	if len(s) > MaxURLBytes {
		return t, fmt.Errorf("the URL has %d bytes, at most %d", len(s), MaxURLBytes)
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c <= ' ' || c == 0x7f:
			return t, fmt.Errorf("the URL has the byte %q; encode it as %%%02X", string(c), c)
		case c >= 0x80:
			return t, fmt.Errorf("the URL is not ASCII; encode other bytes, as %%%02X", c)
		case strings.IndexByte("\\\"<>^`{|}", c) >= 0:
			return t, fmt.Errorf("the URL has the byte %q; encode it as %%%02X", string(c), c)
		case c == '#':
			return t, fmt.Errorf("the URL has a fragment, which is not sent; remove it")
		case c == '%' && !isEscape(s[i:]):
			return t, fmt.Errorf("the URL has a '%%' without two hexadecimal digits behind it")
		}
	}
	var ok bool
	if t.Scheme, s, ok = strings.Cut(s, "://"); !ok || t.Scheme != "https" && t.Scheme != "http" {
		return t, fmt.Errorf("the URL does not begin with https:// or http://")
	}
	end := strings.IndexAny(s, "/?")
	if end < 0 {
		end = len(s)
	}
	authority, rest := s[:end], s[end:]
	if strings.Contains(authority, "@") {
		return t, fmt.Errorf("the URL has a user or an '@' before the path; the policy injects credentials")
	}
	if t.Host, t.Port, err = splitAuthority(authority); err != nil {
		return t, err
	}
	if t.Host = strings.ToLower(t.Host); t.Port == 0 {
		t.Port = defaultPort(t.Scheme)
	}
	if err := checkHost(t.Host); err != nil {
		return t, err
	}
	t.Path, t.Query, _ = strings.Cut(rest, "?")
	if t.Path == "" {
		t.Path = "/"
	}
	return t, checkPath(t.Path)
}

func isEscape(s string) bool { return len(s) >= 3 && isHex(s[1]) && isHex(s[2]) }

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// Authority returns the value of the header Host: the port is left out if it is that of the scheme.
func (t *Target) Authority() string {
	s := t.Host
	if strings.Contains(s, ":") {
		s = "[" + s + "]"
	}
	if t.Port != defaultPort(t.Scheme) {
		s += ":" + strconv.Itoa(int(t.Port))
	}
	return s
}

// Origin returns scheme, host and port as one text.
func (t *Target) Origin() string { return t.Scheme + "://" + t.Host + ":" + strconv.Itoa(int(t.Port)) }

// URL returns the target for net/http.
func (t *Target) URL() (*url.URL, error) {
	plain, err := url.PathUnescape(t.Path)
	if err != nil {
		return nil, err
	}
	u := &url.URL{Scheme: t.Scheme, Host: t.Authority(), Path: plain, RawPath: t.Path, RawQuery: t.Query}
	if u.EscapedPath() != t.Path {
		return nil, fmt.Errorf("the path cannot be sent unchanged; encode its special bytes")
	}
	return u, nil
}

// hasParameter reports whether the query has a parameter of a name, under any reading of the query.
func (t *Target) hasParameter(name string) bool {
	for _, pair := range strings.FieldsFunc(t.Query, func(r rune) bool { return r == '&' || r == ';' || r == '?' }) {
		key, _, _ := strings.Cut(pair, "=")
		for _, form := range decodings(strings.ReplaceAll(key, "+", " ")) {
			form, _, _ = strings.Cut(form, "[") // PHP and Rack read name[] and name[0] as name
			if strings.EqualFold(sameInPHP(form), sameInPHP(name)) {
				return true
			}
		}
	}
	return false
}

// sameInPHP returns a text that is equal for all names that PHP reads as one.
func sameInPHP(name string) string {
	return strings.NewReplacer(".", "_", " ", "_").Replace(strings.TrimSpace(name))
}

// maxDecodings bounds how often a server may decode a path.
const maxDecodings = 3

// decodings returns s, and the results of decoding its escapes again and again until nothing changes. Like lenient
// servers, it keeps a percent sign that begins no escape.
func decodings(s string) []string {
	out := []string{s}
	for range maxDecodings {
		next := decode(s)
		if next == s {
			break
		}
		out = append(out, next)
		s = next
	}
	return out
}

func decode(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && isEscape(s[i:]) {
			n, _ := strconv.ParseUint(s[i+1:i+3], 16, 8) // isEscape has checked it
			b.WriteByte(byte(n))
			i += 2
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// checkPath returns an error for a path with a dot segment, an empty segment or a control byte, under any decoding.
func checkPath(path string) error {
	for _, form := range decodings(path) {
		segments := strings.FieldsFunc(form, func(r rune) bool { return r == '/' || r == '\\' })
		for _, s := range segments {
			s, _, _ = strings.Cut(s, ";") // parameters of a segment are removed by some servers
			if s == "." || s == ".." {
				return fmt.Errorf("the path has the segment %q", s)
			}
		}
		if !utf8.ValidString(form) {
			return fmt.Errorf("the path is not UTF-8")
		}
		if strings.Contains(form, "//") {
			return fmt.Errorf("the path has an empty segment")
		}
		if i := strings.IndexFunc(form, func(r rune) bool { return r < ' ' || r == 0x7f }); i >= 0 {
			return fmt.Errorf("the path has the control byte %q", form[i:i+1])
		}
	}
	return nil
}

// MatchPath returns an error unless one of the patterns matches a path under every decoding. In a pattern, '*' matches
// a part of one segment, and at the end of the pattern the whole rest of the path.
func MatchPath(patterns []string, path string) error {
	for _, form := range decodings(path) {
		if !slices.ContainsFunc(patterns, func(p string) bool { return matchPattern(p, form) }) {
			return fmt.Errorf("path %.200q is not in paths", form)
		}
	}
	return nil
}

func matchPattern(pattern, path string) bool {
	for {
		literal, rest, star := strings.Cut(pattern, "*")
		if !star {
			return path == literal
		}
		var ok bool
		if path, ok = strings.CutPrefix(path, literal); !ok {
			return false
		}
		if rest == "" {
			return true
		}
		segment, _, _ := strings.Cut(path, "/")
		for i := 0; i <= len(segment); i++ {
			if matchPattern(rest, path[i:]) {
				return true
			}
		}
		return false
	}
}

// maxStars bounds the '*' of a pattern: the time of a match grows with each.
const maxStars = 4

// CheckPattern returns an error unless s is a pattern of paths.
func CheckPattern(s string) error {
	switch {
	case !strings.HasPrefix(s, "/"):
		return fmt.Errorf("%q does not begin with /", s)
	case strings.ContainsAny(s, "?#%"):
		return fmt.Errorf("%q is a path without query, fragment and escapes", s)
	case strings.Count(s, "*") > maxStars:
		return fmt.Errorf("%q has more than %d '*'", s, maxStars)
	case strings.Contains(s, "**"):
		return fmt.Errorf("%q: one '*' at the end matches the whole rest", s)
	}
	return checkPath(strings.ReplaceAll(s, "*", "x"))
}
