package endpoint

import (
	"net/netip"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/syntax"
)

// Trace reads the trace block.
func Trace(r *syntax.Reader, b *hclsyntax.Block) policy.Trace {
	a := r.Block(b, "endpoint", "traces")
	r.Require(b, a, "endpoint")
	out := policy.Trace{Traces: 1}
	if s, at, ok := r.Text(a, "endpoint"); ok {
		address, found := strings.CutPrefix(strings.TrimSuffix(s, "/"), "http://")
		ap, err := netip.ParseAddrPort(address)
		switch {
		case !found || err != nil:
			r.Problems.Add(at, `write "http://127.0.0.1:4318", without a path`,
				"endpoint: %q is not the address of a collector", s)
		case !ap.Addr().IsLoopback():
			r.Problems.Add(at, `write "http://127.0.0.1:4318" and let a collector on this machine forward the spans`,
				"endpoint: %q: spans contain names of callers and objects and are sent to this machine only", s)
		default:
			out.Endpoint = "http://" + ap.String()
		}
	}
	if n, ok := r.OneIn(a, "traces", false); ok {
		out.Traces = n
	}
	return out
}
