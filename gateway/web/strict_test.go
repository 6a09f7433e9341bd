package web

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// delimits reports whether a byte sequence consists of requests that the framing accepts, in parts of a size.
func delimits(b string, part int) bool {
	var f framing
	for len(b) > 0 {
		n := min(part, len(b))
		if f.add([]byte(b[:n])) < n {
			return false
		}
		b = b[n:]
	}
	return true
}

func TestFraming(t *testing.T) {
	t.Parallel()
	const end = "\r\n\r\n"
	for request, want := range map[string]bool{
		"GET / HTTP/1.1\r\nHost: a" + end:                                                     true,
		"GET / HTTP/1.1\r\nHost: a" + end + "GET / HTTP/1.1\r\nHost: a" + end:                 true,
		"POST / HTTP/1.1\r\nContent-Length: 3" + end + "\n\x00\nGET / HTTP/1.1\r\nA: b" + end: true,
		"POST / HTTP/1.1\r\nContent-Length: 2" + end + "\n\x00\nGET / HTTP/1.1\r\nA: b" + end: false,
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked" + end + "\n\n":                        true,
		"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked" + end:            false,
		"POST / HTTP/1.1\r\ntransfer-encoding: x\r\ncontent-length: 3" + end:                  false,
		"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3" + end:                     false,
		"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4" + end:                     false,
		"POST / HTTP/1.1\r\nContent-Length: 3, 3" + end:                                       false,
		"POST / HTTP/1.1\r\nContent-Length: +3" + end:                                         false,
		"POST / HTTP/1.1\r\nContent-Length: -3" + end:                                         false,
		"POST / HTTP/1.1\r\nContent-Length: 0x3" + end:                                        false,
		"POST / HTTP/1.1\r\nContent-Length: " + end:                                           false,
		"POST / HTTP/1.1\r\nContent-Length : 3" + end:                                         false,
		"POST / HTTP/1.1\r\nTransfer-Encoding\t: chunked" + end:                               false,
		"POST / HTTP/1.1\r\nA: b\r\n Content-Length: 3" + end:                                 false,
		"POST / HTTP/1.1\r\n\tA: b" + end:                                                     false,
		"POST / HTTP/1.1\nHost: a\n\n":                                                        false,
		"POST / HTTP/1.1\r\nHost: a\n\r\n":                                                    false,
		"POST / HTTP/1.1\r\nHost: a\rb" + end:                                                 false,
		"POST / HTTP/1.1\r\nHost: a\x00b" + end:                                               false,
		"POST / HTTP/1.1\r\nHost" + end:                                                       false,
		"\r\nGET / HTTP/1.1" + end:                                                            false,
	} {
		for _, part := range []int{1, 7, 1000} {
			if got := delimits(request, part); got != want {
				t.Errorf("%q in parts of %d: accepted %v, want %v", request, part, got, want)
			}
		}
	}
}

// FuzzFraming compares the accepted bytes with the requests that net/http reads: it must find the same bodies.
func FuzzFraming(f *testing.F) {
	f.Add([]byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 03\r\n\r\nabc"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var fr framing
		if fr.add(b) < len(b) || fr.opaque || fr.body > 0 || fr.first || fr.inLine || fr.cr {
			return // rejected, or not complete
		}
		in := bufio.NewReader(bytes.NewReader(b))
		rest := string(b)
		for rest != "" {
			r, err := http.ReadRequest(in)
			if err != nil {
				return // the connection ends here
			}
			head, body, ok := strings.Cut(rest, "\r\n\r\n")
			if !ok {
				t.Fatalf("%q: no end of the header in %q", b, rest)
			}
			_ = head
			got, err := io.ReadAll(r.Body)
			if err != nil || !strings.HasPrefix(body, string(got)) || r.ContentLength != int64(len(got)) {
				t.Fatalf("%q: body %q of length %d, %v", b, got, r.ContentLength, err)
			}
			rest = body[len(got):]
		}
	})
}
