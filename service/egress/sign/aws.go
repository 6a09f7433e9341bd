// Package sign computes signatures of HTTP requests.
package sign

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// AWS has the credentials and the scope of AWS Signature Version 4.
type AWS struct {
	AccessKey, SecretKey string
	Region, Service      string
}

// Request is a request to sign.
type Request struct {
	Method string
	Path   string      // encoded, begins with "/"
	Query  string      // encoded, without "?"
	Header [][2]string // headers to sign, Host and X-Amz-Date among them
	// BodySum is the SHA-256 of the body in hexadecimal.
	BodySum string
}

// AWSTime formats a time for the header X-Amz-Date.
func AWSTime(t time.Time) string { return t.UTC().Format("20060102T150405Z") }

// Sum returns the SHA-256 of a body in hexadecimal.
func Sum(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// Authorization returns the value of the header Authorization for a request at a time.
//
// Source: "Create a signed AWS API request", AWS Identity and Access Management User Guide.
func (a AWS) Authorization(r *Request, at time.Time) string {
	day := at.UTC().Format("20060102")
	scope := strings.Join([]string{day, a.Region, a.Service, "aws4_request"}, "/")
	canonical, signed := a.canonical(r)
	text := strings.Join([]string{"AWS4-HMAC-SHA256", AWSTime(at), scope, Sum([]byte(canonical))}, "\n")
	key := []byte("AWS4" + a.SecretKey)
	for _, part := range []string{day, a.Region, a.Service, "aws4_request"} {
		key = mac(key, part)
	}
	return "AWS4-HMAC-SHA256 Credential=" + a.AccessKey + "/" + scope + ", SignedHeaders=" + signed +
		", Signature=" + hex.EncodeToString(mac(key, text))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// canonical returns the canonical request, and the names of its signed headers.
func (a AWS) canonical(r *Request) (text, signed string) {
	header := make([][2]string, 0, len(r.Header))
	for _, f := range r.Header {
		header = append(header, [2]string{strings.ToLower(f[0]), strings.Join(strings.Fields(f[1]), " ")})
	}
	slices.SortStableFunc(header, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	var names []string
	var fields strings.Builder
	for i, f := range header {
		if i > 0 && header[i-1][0] == f[0] {
			fields.WriteString("," + f[1])
			continue
		}
		if i > 0 {
			fields.WriteByte('\n')
		}
		names = append(names, f[0])
		fields.WriteString(f[0] + ":" + f[1])
	}
	fields.WriteByte('\n')
	path := escape(unescape(r.Path), true)
	if a.Service != "s3" { // every other service encodes the encoded path once more
		path = escape(path, true)
	}
	signed = strings.Join(names, ";")
	return strings.Join([]string{r.Method, path, query(r.Query), fields.String(), signed, r.BodySum}, "\n"), signed
}

// query returns the parameters sorted by their encoded name and value.
func query(s string) string {
	var pairs [][2]string
	for pair := range strings.SplitSeq(s, "&") {
		if pair == "" {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		pairs = append(pairs, [2]string{escape(unescape(key), false), escape(unescape(value), false)})
	}
	slices.SortFunc(pairs, func(a, b [2]string) int {
		if c := strings.Compare(a[0], b[0]); c != 0 {
			return c
		}
		return strings.Compare(a[1], b[1])
	})
	var out []string
	for _, p := range pairs {
		out = append(out, p[0]+"="+p[1])
	}
	return strings.Join(out, "&")
}

// escape encodes every byte that is not unreserved. slash keeps '/'.
func escape(s string, slash bool) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '-', c == '_', c == '.', c == '~', c == '/' && slash:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

// unescape decodes the escapes of a text whose escapes are complete.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
				b.WriteByte(c[0])
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
