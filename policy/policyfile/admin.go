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
		r.Problems.Add(at, "omit address: the admin socket is always in the state folder",
			"address: %q: the path of the admin socket cannot be set", s)
	case err != nil:
		r.Problems.Add(at, "write 127.0.0.1:9766 or [::1]:9766", "address %q is not valid", s)
	case !local:
		r.Problems.Add(at, "write 127.0.0.1:9766, and let a program on this machine fetch the metrics",
			"address %q: metrics are served without authentication, to this machine only", s)
	default:
		r.def.Admin.Address, r.adminAt = addr, at
	}
}

// adminClash reports a problem if a listener has the address of the metrics. It runs after all blocks are read,
// because their order is free.
func (r *reader) adminClash() {
	for _, l := range r.def.Listeners {
		if l.Address == r.def.Admin.Address && l.Address != "" && !strings.HasSuffix(l.Address, ":0") {
			r.Problems.Add(r.adminAt, "", "listener %q already has the address %q", l.Name, l.Address)
		}
	}
}
