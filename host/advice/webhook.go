package advice

import (
	"fmt"
	"slices"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// Webhooks returns an error for each webhook of an object whose requests the object cannot serve. about is the
// description of the object.
func Webhooks(p *policy.Policy, about *object.Description) []error {
	var out []error
	for i := range p.Webhooks {
		w := &p.Webhooks[i]
		if w.Object.Family() != about.ID.Family() {
			continue
		}
		if problem := unserved(w, about); problem != "" {
			out = append(out, fmt.Errorf("%s: webhook %q: %s", w.Where, w.Name, problem))
		}
	}
	return out
}

// unserved returns the reason why an object cannot serve a webhook, "" if it can.
func unserved(w *policy.Webhook, about *object.Description) string {
	_, key, keyed := w.Object.Split()
	switch {
	case about.Instance == object.Keyed && !keyed:
		return fmt.Sprintf("%s is a keyed object: add a key to call, %s", about.ID.Family(),
			w.Object.WithKey("main")+"."+object.ID(w.Method))
	case about.Instance != object.Keyed && keyed:
		return fmt.Sprintf("%s is not a keyed object: remove the key %q from call", about.ID.Family(), key)
	case about.Instance != object.Keyed && about.Instance != object.Single:
		return fmt.Sprintf("%s has mode %q and cannot store the ids of events: use mode \"single\" or \"keyed\"",
			about.ID.Family(), about.Instance)
	case !slices.ContainsFunc(about.Members, func(m object.Member) bool { return m.Method && m.Name == w.Method }):
		return fmt.Sprintf("%s exposes no method %q", about.ID.Family(), w.Method)
	}
	return ""
}
