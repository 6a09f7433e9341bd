package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/transport/signed"
)

// TestExplain: an error of the client has a remedy, and a note if the call may have been executed. Other errors are
// unchanged.
func TestExplain(t *testing.T) {
	t.Parallel()
	r := Remote{At: "127.0.0.1:1", Profile: "alice.json", Protocol: "pyro5", Timeout: time.Second}
	failed := func(executed client.Executed, cause error) error {
		return &client.CallError{Executed: executed, Err: cause}
	}
	other := errors.New("alice.key: permission denied")
	for _, tt := range []struct {
		err  error
		want string
	}{
		{other, other.Error()},
		{&client.RemoteError{Class: "builtins.ValueError", Args: []any{"why"}}, "ValueError: why"},
		{failed(client.No, signed.ErrProof), "did not prove that it has the key of alice.json"},
		{failed(client.No, syscall.ECONNREFUSED), "no host listens at 127.0.0.1:1; start one with hearth serve"},
		{failed(client.No, syscall.EACCES), "this user may not connect to 127.0.0.1:1"},
		{failed(client.Unknown, context.DeadlineExceeded), "no answer from 127.0.0.1:1 within 1s (whether the call"},
		{failed(client.Yes, io.EOF), "closed the connection (the call was executed); is it a hearth host"},
		{failed(client.No, client.ErrProtocol), "does not speak pyro5; try another --protocol"},
	} {
		if got := fmt.Sprint(r.Explain(tt.err)); !strings.Contains(got, tt.want) {
			t.Errorf("Explain(%v) = %q, want %q in it", tt.err, got, tt.want)
		}
	}
}

func TestCheckAddress(t *testing.T) {
	t.Parallel()
	for at, ok := range map[string]bool{
		"127.0.0.1:7766":   true,
		"[::1]:7766":       true,
		"unix:hearth.sock": true,
		"unix:":            false,
		"127.0.0.1":        false,
		"::1:7766":         false,
		"host:":            false,
	} {
		if err := CheckAddress(at); (err == nil) != ok {
			t.Errorf("CheckAddress(%q) = %v", at, err)
		}
	}
}

func TestParseObject(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"acme.counter", string(object.Daemon), string(object.NameServer)} {
		if got, err := ParseObject(id); err != nil || string(got) != id {
			t.Errorf("ParseObject(%q) = %q, %v", id, got, err)
		}
	}
	if _, err := ParseObject("counter"); err == nil || !strings.Contains(err.Error(), "hearth ls lists") {
		t.Errorf("ParseObject of a name without a tenant: %v", err)
	}
}
