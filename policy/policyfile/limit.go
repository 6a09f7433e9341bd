package policyfile

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/internal/bytesize"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/syntax"
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
	perSecond := 1
	if s, at, ok := r.Text(a, "rate"); ok {
		count, unit, found := strings.Cut(s, "/")
		per := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[unit]
		n, err := strconv.Atoi(count)
		if !found || per == 0 || err != nil || n < 1 || n > syntax.MaxCount {
			r.Problems.Add(at, `write "100/s", "30/m" or "5/h", from 1 to 1000000`, "rate: %q is not a rate", s)
		} else {
			l.Rate, l.Interval = s, per/time.Duration(n)
			perSecond = max(1, int(time.Second/l.Interval))
		}
	}
	l.Burst = perSecond
	if n, ok := r.Count(a, "burst"); ok {
		if a["rate"] == nil {
			r.Problems.Add(a["burst"].NameRange, "", "burst needs a rate")
		}
		l.Burst = n
	}
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
