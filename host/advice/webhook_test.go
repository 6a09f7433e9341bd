package advice_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/host/advice"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// TestWebhooks checks webhooks against descriptions of their objects: each must have one instance, and the method.
func TestWebhooks(t *testing.T) {
	hook := func(id object.ID) policy.Webhook {
		return policy.Webhook{Name: "pay", Object: id, Method: "on_event", Where: "policy.hcl:3"}
	}
	members := []object.Member{{Name: "on_event", Method: true}, {Name: "total", Get: true}}
	for _, tt := range []struct {
		hook    object.ID
		about   object.ID
		mode    object.InstanceMode
		members []object.Member
		want    string // "": no error
	}{
		{"acme.box", "acme.box", object.Single, members, ""},
		{"acme.box:main", "acme.box", object.Keyed, members, ""},
		{"acme.other", "acme.box", object.PerCall, members, ""},
		{"acme.box", "acme.box", object.PerCall, members, `acme.box has mode "call"`},
		{"acme.box", "acme.box", object.Session, members, `acme.box has mode "session"`},
		{"acme.box", "acme.box", object.Keyed, members, "add a key to call, acme.box:main.on_event"},
		{"acme.box:main", "acme.box", object.Single, members, `remove the key "main"`},
		{"acme.box", "acme.box", object.Single, members[1:], `exposes no method "on_event"`},
	} {
		p := policy.New(policy.Definition{Webhooks: []policy.Webhook{hook(tt.hook)}})
		about := &object.Description{ID: tt.about, Instance: tt.mode, Members: tt.members}
		text := ""
		if err := errors.Join(advice.Webhooks(p, about)...); err != nil {
			text = err.Error()
		}
		if (text == "") != (tt.want == "") || !strings.Contains(text, tt.want) ||
			text != "" && !strings.HasPrefix(text, "policy.hcl:3: ") {
			t.Errorf("%s on %s of mode %s: %q, want %q", tt.hook, tt.about, tt.mode, text, tt.want)
		}
	}
}
