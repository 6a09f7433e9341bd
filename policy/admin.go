package policy

import (
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Admin is the admin block: what the host tells of itself beyond its admin socket.
type Admin struct {
	// Address is a loopback address, "127.0.0.1:9766", at which every user of this machine
	// may read the metrics, and do nothing else; "": there is none.
	Address string
	Where   string // of the address, for messages: "policy.hcl:12"
}

// admin reads the admin block.
func (r *reader) admin(b *hclsyntax.Block) {
	if !r.single(b) {
		return
	}
	a := r.block(b, "address")
	s, at, ok := r.text(a, "address")
	if !ok {
		return
	}
	r.p.Admin.Where = r.where(at)
	addr, local, err := r.address(s)
	switch {
	case strings.HasPrefix(s, "unix:"):
		r.problems.Add(at, "leave address out: there always is one in the state folder", "address: %q: the admin socket's place is settled", s)
	case err != nil:
		r.problems.Add(at, "write 127.0.0.1:9766 or [::1]:9766", "address %q cannot be listened on", s)
	case !local:
		r.problems.Add(at, "write 127.0.0.1:9766 and let a program on this machine fetch it", "address %q: metrics are for this machine only, and who asks is not identified", s)
	default:
		r.p.Admin.Address, r.adminAt = addr, at
	}
}

// adminClash complains if a listener has the address of the metrics: blocks stand in any
// order.
func (r *reader) adminClash() {
	for _, l := range r.p.Listeners {
		if l.Address == r.p.Admin.Address && l.Address != "" && !strings.HasSuffix(l.Address, ":0") {
			r.problems.Add(r.adminAt, "", "listener %q has the address %q already", l.Name, l.Address)
		}
	}
}
