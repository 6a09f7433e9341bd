package policy

import (
	"slices"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/service/egress/rule"
)

// EgressOf returns the egress blocks that an object may use, in the order of the file.
func (d *Definition) EgressOf(id object.ID) []*rule.Block {
	var out []*rule.Block
	for _, b := range d.Egress {
		if b.Serves(id) {
			out = append(out, b)
		}
	}
	return out
}

// FindEgress returns the egress block of a name that an object may use. The error is the same whether the block does
// not exist or does not name the object.
func (d *Definition) FindEgress(id object.ID, name string) (*rule.Block, error) {
	return rule.Find(d.Egress, id, name)
}

// DecideRequest decides whether an object may send a request, by the block of a name, or by any of its blocks if name
// is
// "". Addresses of the host are checked later, when the request is sent.
func (d *Definition) DecideRequest(id object.ID, name, method, url string) Decision {
	blocks := d.EgressOf(id)
	if name != "" {
		b, err := d.FindEgress(id, name)
		if err != nil {
			return Decision{Reason: err.Error()}
		}
		blocks = []*rule.Block{b}
	}
	reason := "no egress block names " + string(id)
	for _, b := range blocks {
		_, err := b.Check(method, url)
		if err == nil {
			return Decision{Permit: true, Reason: EgressReason(b)}
		}
		reason = EgressReason(b) + ": " + err.Error()
	}
	return Decision{Reason: reason}
}

// EgressReason describes a block for messages and the audit log: `policy.hcl:14 egress "stripe"`.
func EgressReason(b *rule.Block) string { return b.Where + " egress \"" + b.Name + "\"" }

// HostUses reports whether an egress block or a webhook uses a secret.
func (d *Definition) HostUses(s *Secret) bool {
	return len(d.EgressUsing(s)) > 0 || len(d.WebhooksUsing(s)) > 0
}

// EgressUsing returns the egress blocks that use a secret.
func (d *Definition) EgressUsing(s *Secret) []*rule.Block {
	var out []*rule.Block
	for _, b := range d.Egress {
		if b.Tenant == s.Tenant && slices.Contains(b.Secrets(), s.Name) {
			out = append(out, b)
		}
	}
	return out
}
