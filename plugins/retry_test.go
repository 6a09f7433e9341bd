package plugins

import (
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
)

// TestNoRetry: a plugin that executes calls at most once stores exceptions too, so it is not called by webhooks.
func TestNoRetry(t *testing.T) {
	pr := new(process)
	pr.supports.once = true
	c := &object.Call{ID: "acme.box", Once: &object.Once{Key: "k", Retry: true}}
	err := pr.checkOnce(c, &object.Description{Instance: object.Single})
	if object.CodeOf(err) != object.CodeInvalid || !strings.Contains(object.SafeText(err), "scripts only") {
		t.Errorf("checkOnce() = %v", err)
	}
}
