package daemon

import (
	"bytes"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

func TestGreet(t *testing.T) {
	t.Parallel()
	listeners := []policy.Listener{
		{Plain: true, Identify: []string{object.AuthPeer}},
		{Plain: true, Identify: []string{object.AuthPeer}},
		{Plain: true, Identify: []string{object.AuthPeer}},
		{Identify: []string{object.AuthHMAC, object.AuthCert}},
		{Plain: true, HTTP: &policy.HTTP{}},
		{Plain: true, HTTP: &policy.HTTP{}},
		{HTTP: &policy.HTTP{}, TLS: &policy.TLS{}},
	}
	var out bytes.Buffer
	greet(&out, "policy.hcl", listeners, []string{"127.0.0.1:7766", "unix:/run/a b", "192.0.2.1:1", "[::]:7767",
		"127.0.0.1:8080", "unix:/run/web", "[::]:8443"})
	want := `serving under policy.hcl
listening on 127.0.0.1:7766: hearth ls --at 127.0.0.1:7766
listening on unix:/run/a b: hearth ls --at 'unix:/run/a b'
listening on 192.0.2.1:1
listening on [::]:7767, with a key or a certificate: hearth ls --profile FILE
listening on 127.0.0.1:8080: curl http://127.0.0.1:8080/v1/objects
listening on unix:/run/web: curl --unix-socket /run/web http://localhost/v1/objects
listening on [::]:8443, HTTPS
`
	if out.String() != want {
		t.Errorf("greet() printed\n%s\nwant\n%s", &out, want)
	}
}

func TestExplainListen(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want string
	}{
		{&host.ListenError{Address: "0.0.0.0:1", Err: syscall.EADDRINUSE}, "hearth ping --at 127.0.0.1:1 shows"},
		{&host.ListenError{Address: "[::]:1", Err: syscall.EADDRINUSE}, "hearth ping --at '[::1]:1' shows"},
		{&host.ListenError{Address: "192.0.2.1:1", Err: syscall.EADDRINUSE}, "hearth ping --at 192.0.2.1:1 shows"},
		{fmt.Errorf("listen: %w", fs.ErrPermission), "this user cannot listen there"},
		{fs.ErrClosed, fs.ErrClosed.Error()},
	} {
		if got := explainListen(tt.err).Error(); !strings.Contains(got, tt.want) {
			t.Errorf("explainListen(%v) = %q, want %q in it", tt.err, got, tt.want)
		}
	}
}
