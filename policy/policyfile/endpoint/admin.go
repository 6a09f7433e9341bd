package endpoint

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/syntax"
)

// Admin reads the admin block. at is the position of its address, if it has one.
func Admin(r *syntax.Reader, b *hclsyntax.Block) (out policy.Admin, at hcl.Range) {
	a := r.Block(b, "address")
	s, at, ok := r.Text(a, "address")
	if !ok {
		return out, at
	}
	out.Where = r.Where(at)
	addr, local, err := parseAddress(r, s)
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
		out.Address = addr
	}
	return out, at
}
