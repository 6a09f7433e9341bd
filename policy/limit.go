package policy

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/object"
)

// Limit bounds the calls of each principal to each object that it covers: every pair of
// the two has its own count. A limit is comparable by its address only.
type Limit struct {
	Name   string
	Reason string // for messages and the log: `policy.hcl:30 limit "partners"`
	// Interval is the time that one call costs: a rate of 100/s is 10 ms. 0: no rate.
	Interval time.Duration
	Rate     string // as it stands in the file, "100/s"
	Burst    int    // calls that may come at once when none came for long
	// Concurrent is how many calls may be under way at a time. 0: any number.
	Concurrent int

	objects []pattern
}

// String returns what the limit is, as "100/s, 4 at a time".
func (l *Limit) String() string {
	var parts []string
	if l.Rate != "" {
		parts = append(parts, l.Rate)
	}
	if l.Concurrent > 0 {
		parts = append(parts, fmt.Sprintf("%d at a time", l.Concurrent))
	}
	return strings.Join(parts, ", ")
}

func (l *Limit) coversObject(id object.ID) bool { return covers(l.objects, id) }

// limit reads a limit block.
func (r *reader) limit(name string, b *hclsyntax.Block) {
	a := r.block(b, "principals", "objects", "rate", "burst", "concurrent")
	r.require(b, a, "principals", "objects")
	l := &Limit{Name: name, Reason: r.reason(name, b), objects: r.patterns(a)}
	if a["rate"] == nil && a["concurrent"] == nil {
		r.problems.add(b.TypeRange, `write rate = "100/s" or concurrent = 4`, "limit %q limits nothing", name)
	}
	perSecond := 1
	if s, at, ok := r.text(a, "rate"); ok {
		count, unit, found := strings.Cut(s, "/")
		per := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[unit]
		n, err := strconv.Atoi(count)
		if !found || per == 0 || err != nil || n < 1 || n > maxCount {
			r.problems.add(at, `write "100/s", "30/m" or "5/h", from 1 to 1000000`, "rate: %q", s)
		} else {
			l.Rate, l.Interval = s, per/time.Duration(n)
			perSecond = max(1, int(time.Second/l.Interval))
		}
	}
	l.Burst = perSecond
	if n, ok := r.count(a, "burst"); ok {
		if a["rate"] == nil {
			r.problems.add(a["burst"].NameRange, "", "burst is for a rate")
		}
		l.Burst = n
	}
	l.Concurrent, _ = r.count(a, "concurrent")
	for _, s := range r.who(a, "name those whose calls are counted") {
		s.limits.add(l, l.objects)
	}
}

// LimitsOf returns the limits of a principal's calls of an object, sorted by name.
func (p *Policy) LimitsOf(who object.Principal, id object.ID) []*Limit {
	return p.match(who, id, "").limits
}
