package pyro

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// TestInternalErrorIsLogged logs an error whose cause the caller does not receive. The log has the object, the method,
// the principal, the call's correlation ID and the cause.
func TestInternalErrorIsLogged(t *testing.T) {
	var log bytes.Buffer
	s := NewServer(Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	c := &conn{s: s}
	c.peer.Caller.Principal = "alice"
	call := &object.Call{ID: "acme.x", Method: "m"}
	m := &wire.Message{Corr: [16]byte{0x4d, 0x56, 15: 1}}
	c.logInternal(call, m, &object.Error{Code: object.CodeInternal, Err: errors.New("the cause")})
	for _, want := range []string{
		"object=acme.x",
		"method=m",
		"principal=alice",
		"call=4d560000-0000-0000-0000-000000000001",
		"the cause",
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is not in %s", want, &log)
		}
	}
}
