package policy

import (
	"slices"
	"time"

	"github.com/hearthhost/hearth/object"
)

// Webhook is a webhook block: signed requests of a service that call a method.
type Webhook struct {
	Name   string        // its principal is [object.Webhook](Name)
	Object object.ID     // called object, with a key if it is keyed
	Method object.Method // gets the body and a table with the event's id and headers

	Scheme    string        // of the signature; one of Schemes
	Secrets   []string      // names of secrets of the object's tenant, each of which proves a request; never empty
	Header    string        // of the signature, for SchemeHMAC
	IDHeader  string        // of the event's id, for SchemeGitHub and SchemeHMAC; "": the body identifies an event
	Tolerance time.Duration // of the timestamp, in both directions, for schemes with a timestamp
	Replay    time.Duration // time for which an event is not executed again
	MaxBody   int           // bytes of a request's body
	Where     string        // position for messages: "policy.hcl:12"
}

// Schemes of the signatures of webhooks.
const (
	SchemeStandard = "standard" // Standard Webhooks 1.0
	SchemeStripe   = "stripe"
	SchemeGitHub   = "github"
	SchemeHMAC     = "hmac" // HMAC-SHA256 of the body in a header
)

// Schemes lists the schemes. Do not modify it.
var Schemes = []string{SchemeStandard, SchemeStripe, SchemeGitHub, SchemeHMAC}

// Webhook returns the webhook with a name, nil for an unknown one.
func (d *Definition) Webhook(name string) *Webhook {
	i := slices.IndexFunc(d.Webhooks, func(w Webhook) bool { return w.Name == name })
	if i < 0 {
		return nil
	}
	return &d.Webhooks[i]
}

// WebhooksUsing returns the names of the webhooks whose requests a secret proves.
func (d *Definition) WebhooksUsing(s *Secret) []string {
	var out []string
	for _, w := range d.Webhooks {
		if w.Object.Tenant() == s.Tenant && slices.Contains(w.Secrets, s.Name) {
			out = append(out, w.Name)
		}
	}
	return out
}
