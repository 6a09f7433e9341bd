package credential

import (
	"log/slog"
	"testing"

	"github.com/hearthhost/hearth/object"
)

// TestInjected has a secret that only an egress block uses. No object gets it, and no other tenant.
func TestInjected(t *testing.T) {
	store, _ := openStore(t, storePolicy+`
tenant "rival" {}
tenant "acme" {
  secret "stripe" { file = "stripe.secret" }
  secret "readable" {
    file    = "readable.secret"
    objects = ["acme.billing"]
  }
  egress "stripe" {
    objects = ["acme.billing"]
    hosts   = ["api.stripe.com"]
    methods = ["GET"]
    paths   = ["/*"]
    inject {
      header = "Authorization"
      value  = "Bearer ${secret.stripe}"
    }
  }
}
`, map[string]string{"alice.key": keyLine("alice-1"), "stripe.secret": "a secret value", "readable.secret": "another"})
	s, err := NewSecrets(store.policy, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := s.ForHost("acme", "stripe"); !ok || v != "a secret value" {
		t.Errorf("the host gets %q, %t", v, ok)
	}
	for _, id := range []object.ID{"acme.billing", "acme.billing:alice", "rival.billing"} {
		if v, ok := s.Value(id, "stripe"); ok {
			t.Errorf("%s gets %q", id, v)
		}
	}
	for id, values := range s.ForTenant("acme").ByObject {
		if _, ok := values["stripe"]; ok {
			t.Errorf("the worker gets the secret for %s", id)
		}
	}
	if _, ok := s.ForHost("rival", "stripe"); ok {
		t.Error("another tenant's block gets the secret")
	}
	if _, ok := s.ForHost("acme", "readable"); ok {
		t.Error("a secret that no block uses is injected")
	}
	if got := s.Redact("acme", "log a secret value", 100); got != "log [secret stripe]" {
		t.Errorf("redacted: %q", got)
	}
}
