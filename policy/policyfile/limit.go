package policyfile

import (
	"fmt"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/internal/bytesize"
	"github.com/hearthhost/hearth/policy"
)

// limit reads a limit block.
func (r *reader) limit(name string, b *hclsyntax.Block) {
	a := r.Block(b, "principals", "objects", "rate", "burst", "concurrent", "connections", "in_flight", "streams")
	ofCalls := a["rate"] != nil || a["concurrent"] != nil
	ofPrincipal := a["connections"] != nil || a["in_flight"] != nil || a["streams"] != nil
	r.Require(b, a, "principals")
	switch {
	case !ofCalls && !ofPrincipal:
		const hint = `write rate = "100/s", concurrent = 4, connections = 50, in_flight = "64MiB" or streams = 200`
		r.Problems.Add(b.TypeRange, hint, "limit %q has no bound", name)
	case ofCalls:
		r.Require(b, a, "objects")
	case a["objects"] != nil:
		r.Problems.Add(a["objects"].NameRange, "remove it",
			"connections, in_flight and streams bound a principal over all objects")
	}
	l := &policy.Limit{Name: name, Reason: r.Reason(name, b), Objects: r.patterns(a, true)}
	rate := r.Rate(a, "100/s")
	l.Rate, l.Interval, l.Burst = rate.Text, rate.Interval, rate.Burst
	l.Concurrent, _ = r.Count(a, "concurrent")
	l.Connections, _ = r.Count(a, "connections")
	l.InFlight, _ = r.Bytes(a, "in_flight", 64<<10, 1<<40)
	if least := int64(r.def.MessageBytes()); l.InFlight > 0 && l.InFlight < least {
		r.def.Warnings.Add(a["in_flight"].Expr.Range(),
			fmt.Sprintf("write in_flight = %q or more", bytesize.Format(least)),
			"limit %q: messages have at most %s; one above in_flight is accepted alone, and rejected if it is "+
				"compressed",
			name, bytesize.Format(least))
	}
	l.Streams, _ = r.Count(a, "streams")
	for _, s := range r.subjectsOf(a, "name the principals or groups that it bounds") {
		s.Limits.Add(l, l.Objects)
		if ofPrincipal {
			s.Shares = append(s.Shares, l)
		}
	}
}
