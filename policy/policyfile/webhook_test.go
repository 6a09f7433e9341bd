package policyfile_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/analysis"
	"github.com/hearthhost/hearth/policy/policyfile"
	"github.com/hearthhost/hearth/policy/policytest"
)

const webhooks = `
tenant "acme" {
  secret "new" { file = "secrets/new" }
  secret "old" { file = "secrets/old" }
}
tenant "other" {}
webhook "pay" {
  call   = "acme.billing.on_event"
  verify = "standard"
  secret = "new"
}
webhook "git" {
  call      = "acme.inbox:main.on_push"
  verify    = "hmac"
  secret    = ["new", "old"]
  header    = "x-signature"
  id_header = "x-event"
  replay    = "240h"
  body      = "25KiB"
}
permit "events" {
  principals = ["webhook:pay"]
  objects    = ["acme.billing"]
  when       = caller.gateway == "webhook" && caller.tenant == "acme"
}
test "an event" {
  principal = "webhook:pay"
  call      = "acme.billing.on_event"
  want      = "permit"
}
`

func TestWebhooks(t *testing.T) {
	p := policytest.Parse(t, webhooks)
	want := []policy.Webhook{
		{
			Name: "pay", Object: "acme.billing", Method: "on_event", Scheme: "standard", Secrets: []string{"new"},
			Tolerance: 5 * time.Minute, Replay: 24 * time.Hour, MaxBody: 1 << 20, Where: "policy.hcl:7",
		},
		{
			Name: "git", Object: "acme.inbox:main", Method: "on_push", Scheme: "hmac",
			Secrets: []string{"new", "old"}, Header: "X-Signature", IDHeader: "X-Event",
			Replay: 240 * time.Hour, MaxBody: 25 << 10, Where: "policy.hcl:12",
		},
	}
	if diff := cmp.Diff(want, p.Webhooks); diff != "" {
		t.Errorf("webhooks (-want +got):\n%s", diff)
	}
	if len(p.Warnings) != 1 || !strings.Contains(p.Warnings[0].String(), `webhook "git": no permit covers`) {
		t.Errorf("warnings %v", p.Warnings)
	}
	for name, want := range map[string]object.Principal{"pay": "webhook:pay", "none": object.Anonymous} {
		if got := p.Principal(object.Peer{Auth: object.AuthWebhook, Key: name}); got != want {
			t.Errorf("a request to %s is %s, want %s", name, got, want)
		}
	}
	for who, valid := range map[object.Principal]bool{"webhook:pay": true, "webhook:git": true, "webhook:none": false} {
		if err := analysis.CheckPrincipal(p, who); (err == nil) != valid {
			t.Errorf("%s: %v", who, err)
		}
	}
	if e := analysis.Explain(p, "webhook:pay", "acme.billing", "on_event"); e.Outcome != analysis.Depends {
		t.Errorf("explain: %+v", e)
	}
	untested, _, _ := strings.Cut(webhooks, "test \"an event\"")
	other := policytest.Parse(t, strings.Replace(untested, `["webhook:pay"]`, `["webhook:git"]`, 1))
	if changes := analysis.Diff(p, other, nil); len(changes) != 2 {
		t.Errorf("diff of another principal: %+v", changes)
	}
}

// TestWebhookTenant: a webhook belongs to the tenant of its object. A permit for another tenant must cross.
func TestWebhookTenant(t *testing.T) {
	crossing := webhooks + `
permit "theirs" {
  principals      = ["webhook:git"]
  objects         = ["other.box"]
  crosses_tenants = true
}
`
	p := policytest.Parse(t, crossing)
	if proof := analysis.Prove(p, nil); len(proof.Crossing) != 1 || proof.Counter != nil {
		t.Errorf("%+v", proof)
	}
	text := strings.Replace(crossing, "crosses_tenants = true", "", 1)
	_, err := policyfile.Parse("policy.hcl", []byte(text), "/base", policytest.HostUID, policytest.Accounts)
	if err == nil || !strings.Contains(err.Error(), "webhook:git is owned by tenant acme and would reach other.box") {
		t.Errorf("without crosses_tenants: %v", err)
	}
}

// TestWebhookExample parses the example of the documentation.
func TestWebhookExample(t *testing.T) {
	text, err := os.ReadFile("../../doc/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(text), "```hcl\n")
	example, _, _ = strings.Cut(example, "```")
	p := policytest.Parse(t, "listener \"web\" { address = \"127.0.0.1:0\" }\n"+example)
	if len(p.Webhooks) != 1 || len(p.Warnings) != 0 {
		t.Errorf("%+v, %v", p.Webhooks, p.Warnings)
	}
}
