package egress

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
)

// errTooLarge is the error of a response beyond its limit.
var errTooLarge = errors.New("response too large")

// bounded reads at most n bytes of a reader. A reader with more bytes causes errTooLarge.
type bounded struct {
	from io.Reader
	n    int // bytes that may still be read
}

func (r *bounded) Read(b []byte) (int, error) {
	if r.n <= 0 {
		var one [1]byte
		n, err := r.from.Read(one[:])
		if n > 0 {
			return 0, errTooLarge
		}
		return 0, err
	}
	n, err := r.from.Read(b[:min(len(b), r.n)])
	r.n -= n
	return n, err
}

// decoded returns the body of a response without its compression. Both the bytes of the connection and the result are
// bounded by limit. The headers of the compression are removed.
func decoded(resp *http.Response, limit int) (io.Reader, error) {
	raw := &bounded{resp.Body, limit}
	if !strings.EqualFold(resp.Header.Get("Content-Encoding"), "gzip") || resp.Request.Method == http.MethodHead {
		return raw, nil
	}
	resp.Header.Del("Content-Encoding")
	resp.Header.Del("Content-Length")
	if resp.ContentLength == 0 || resp.StatusCode == http.StatusNoContent {
		return raw, nil
	}
	z, err := gzip.NewReader(raw)
	if err != nil {
		return nil, err
	}
	return &bounded{z, limit}, nil
}
