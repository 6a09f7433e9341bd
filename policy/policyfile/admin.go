package policyfile

import (
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// admin reads the admin block.
func (r *reader) admin(b *hclsyntax.Block) {
	if !r.single(b) {
		return
	}
	a := r.Block(b, "address")
	s, at, ok := r.Text(a, "address")
	if !ok {
		return
	}
	r.def.Admin.Where = r.Where(at)
	addr, local, err := r.address(s)
	switch {
	case strings.HasPrefix(s, "unix:"):
		r.Problems.Add(at, "leave address out: there always is one in the state folder", "address: %q: the admin socket's place is settled", s)
	case err != nil:
		r.Problems.Add(at, "write 127.0.0.1:9766 or [::1]:9766", "address %q cannot be listened on", s)
	case !local:
		r.Problems.Add(at, "write 127.0.0.1:9766 and let a program on this machine fetch it", "address %q: metrics are for this machine only, and who asks is not identified", s)
	default:
		r.def.Admin.Address, r.adminAt = addr, at
	}
}

// adminClash complains if a listener has the address of the metrics: blocks stand in any
// order.
func (r *reader) adminClash() {
	for _, l := range r.def.Listeners {
		if l.Address == r.def.Admin.Address && l.Address != "" && !strings.HasSuffix(l.Address, ":0") {
			r.Problems.Add(r.adminAt, "", "listener %q has the address %q already", l.Name, l.Address)
		}
	}
}
