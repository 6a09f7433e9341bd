package policy

import (
	"net/netip"
	"strconv"
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
	if len(b.Labels) > 0 {
		r.problems.add(b.LabelRanges[0], "write trace { … }", "the trace block has no name")
	}
	if first, ok := r.p.Set["trace"]; ok {
		r.problems.add(b.TypeRange, "", "there is a trace block already, at %s", first)
		return
	}
	r.p.Set["trace"] = r.where(b.TypeRange)
	a := r.block(b, "endpoint", "traces")
	r.require(b, a, "endpoint")
	r.p.Trace.Traces = 1
	if s, at, ok := r.text(a, "endpoint"); ok {
		address, found := strings.CutPrefix(strings.TrimSuffix(s, "/"), "http://")
		ap, err := netip.ParseAddrPort(address)
		switch {
		case !found || err != nil:
			r.problems.add(at, `write "http://127.0.0.1:4318", without a path`, "endpoint: %q is no address of a collector", s)
		case !ap.Addr().IsLoopback():
			r.problems.add(at, `write "http://127.0.0.1:4318" and let a collector on this machine pass on what it gets`,
				"endpoint: %q: spans name callers and objects, and go to this machine only", s)
		default:
			r.p.Trace.Endpoint = "http://" + ap.String()
		}
	}
	if s, at, ok := r.text(a, "traces"); ok {
		of, sampled := strings.CutPrefix(s, "1/")
		n, err := strconv.ParseUint(of, 10, 32)
		switch {
		case s == "all":
		case sampled && err == nil && n > 0:
			r.p.Trace.Traces = n
		default:
			r.problems.add(at, `write "all" or "1/100"`, "traces: %q", s)
		}
	}
}
