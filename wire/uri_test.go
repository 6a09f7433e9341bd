package wire_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

type uriRecord struct {
	URI, Protocol, Error string
	Object               any
	Sockname, Host, Text *string
	Port                 *int
}

// Forms that Python peers take and we refuse on purpose.
var oddURIs = []string{
	"PYRO:a@b@h:1", "PYRO:o@[::1]:99junk", "PYROMETA:a,,b", "PYRO:o@h: 12 ", "PYRO:o@h:+12", "PYRO:o@h:1_2", "PYRO:o@h:-5",
	"PYRO:o@h:99999", "PYRO:o@:5", "PYRO:o@h:1\n", "PYRO:o@h:1 ", "PYRO:o@h:١",
}

func TestURIs(t *testing.T) {
	for _, r := range lines[uriRecord](t, "uris.jsonl") {
		u, err := wire.ParseURI(r.URI)
		if odd := slices.Contains(oddURIs, r.URI); odd || r.Error != "" {
			if object.CodeOf(err) != object.CodeInvalid {
				t.Errorf("%q: %+v, %v; want it refused", r.URI, u, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", r.URI, err)
			continue
		}
		want := wire.URI{Scheme: r.Protocol}
		switch o := r.Object.(type) {
		case string:
			want.Object = o
		case []any:
			for _, tag := range o {
				want.Tags = append(want.Tags, tag.(string))
			}
		}
		if r.Sockname != nil {
			want.Sock = *r.Sockname
		}
		if r.Host != nil {
			want.Host = *r.Host
		}
		if r.Port != nil {
			want.Port = *r.Port
		}
		if d := cmp.Diff(want, u); d != "" {
			t.Errorf("%q: %s", r.URI, d)
		}
		if r.Text != nil && u.String() != *r.Text {
			t.Errorf("%q: text %q, want %q", r.URI, u, *r.Text)
		}
	}
}
