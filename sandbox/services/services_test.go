package services_test

import (
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/services"
)

// vault redacts nothing and has one secret.
type vault struct{}

func (vault) Secret(object.ID, string) (string, bool) { return "x", true }
func (vault) Redact(text string, _ int) string        { return text }

// TestDefaults checks that missing services fail, and that present ones are kept.
func TestDefaults(t *testing.T) {
	s := services.Set{}.WithDefaults()
	if err := s.Objects.Call(t.Context(), &services.ObjectCall{}); object.CodeOf(err) != object.CodeUnavailable {
		t.Errorf("Call = %v", err)
	}
	s.Log.Line("acme.x", "info", "dropped")
	if _, ok := s.Secrets.Secret("acme.x", "key"); ok {
		t.Error("a missing service has a secret")
	}
	if got := s.Shown("a long text", 6); got != "a long…" {
		t.Errorf("Shown = %q", got)
	}
	s = services.Set{Secrets: vault{}}.WithDefaults()
	if _, ok := s.Secrets.Secret("acme.x", "key"); !ok {
		t.Error("a present service is replaced")
	}
}

func TestRemoteException(t *testing.T) {
	for want, e := range map[string]services.RemoteException{
		"KeyError":       {Class: "KeyError"},
		"KeyError: gone": {Class: "KeyError", Message: "gone"},
	} {
		if got := e.Error(); got != want {
			t.Errorf("Error = %q, want %q", got, want)
		}
	}
}
