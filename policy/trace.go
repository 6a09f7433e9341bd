package policy

import (
	"net/netip"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Trace is the trace block: where spans of calls go.
type Trace struct {
	Endpoint string // "http://127.0.0.1:4318": an OTLP/HTTP collector on this machine; "": none
	// Traces says of how many traces, told apart by correlation id, one is sent; 1: of all.
	Traces uint64
}

// trace reads the trace block.
func (r *reader) trace(b *hclsyntax.Block) {
	if !r.single(b) {
		return
	}
	a := r.block(b, "endpoint", "traces")
	r.require(b, a, "endpoint")
	r.p.Trace.Traces = 1
	if s, at, ok := r.text(a, "endpoint"); ok {
		address, found := strings.CutPrefix(strings.TrimSuffix(s, "/"), "http://")
		ap, err := netip.ParseAddrPort(address)
		switch {
		case !found || err != nil:
			r.problems.Add(at, `write "http://127.0.0.1:4318", without a path`, "endpoint: %q is no address of a collector", s)
		case !ap.Addr().IsLoopback():
			r.problems.Add(at, `write "http://127.0.0.1:4318" and let a collector on this machine pass on what it gets`,
				"endpoint: %q: spans name callers and objects, and go to this machine only", s)
		default:
			r.p.Trace.Endpoint = "http://" + ap.String()
		}
	}
	if n, ok := r.oneIn(a, "traces", false); ok {
		r.p.Trace.Traces = n
	}
}
