package host

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// TestTouched: a connection forgets the backends that are not served any more, and knows the others.
func TestTouched(t *testing.T) {
	stays, leaves := gated{newGate()}, gated{newGate()}
	snap := &snapshot{tenants: map[object.Tenant]*served{"acme": {worker: stays}, "other": {worker: gated{newGate()}}}}
	var set touched
	set.add(stays, "acme.x")
	set.add(leaves, "other.x")
	set.add(leaves, "other.y")
	set.add(gated{newGate()}, "gone.x")
	set.keep(snap)
	if all := set.all(); len(all) != 1 || all[stays] != "acme.x" {
		t.Errorf("the connection still holds %v", all)
	}
}

// TestInternalErrorIsLogged: of an error whose cause the caller does not read, the log has object, method,
// principal, the call's id as text, and the cause.
func TestInternalErrorIsLogged(t *testing.T) {
	var log bytes.Buffer
	c := &conn{h: &Host{log: slog.New(slog.NewTextHandler(&log, nil))}, caller: object.Caller{Principal: "alice"}}
	call := &object.Call{ID: "acme.x", Method: "m"}
	c.logInternal(call, &wire.Message{Corr: [16]byte{0x4d, 0x56, 15: 1}}, &object.Error{Code: object.CodeInternal, Err: errors.New("the cause")})
	for _, want := range []string{"object=acme.x", "method=m", "principal=alice", "call=4d560000-0000-0000-0000-000000000001", "the cause"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is not in %s", want, &log)
		}
	}
}
