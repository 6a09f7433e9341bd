package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hearthhost/hearth/internal/bytesize"
	"github.com/hearthhost/hearth/object"
)

// Limit bounds the calls of each principal to each object that it covers: every pair of
// the two has its own count. It also may bound what each principal has of the host in all, whatever it calls.
// A limit is comparable by its address only.
type Limit struct {
	Name   string
	Reason string // for messages and the log: `policy.hcl:30 limit "partners"`
	// Interval is the time that one call costs: a rate of 100/s is 10 ms. 0: no rate.
	Interval time.Duration
	Rate     string // as it stands in the file, "100/s"
	Burst    int    // calls that may come at once when none came for long
	// Concurrent is how many calls may be under way at a time. 0: any number.
	Concurrent int
	// Connections is how many a principal may have open. 0: the host's default.
	Connections int
	// InFlight is how many bytes of messages and answers the host holds for a principal. 0: the host's default.
	InFlight int64
	// Streams is how many item streams a principal may have open. 0: the host's default.
	Streams int

	Objects []Pattern
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
	if l.Connections > 0 {
		parts = append(parts, fmt.Sprintf("%d connections", l.Connections))
	}
	if l.InFlight > 0 {
		parts = append(parts, bytesize.Format(l.InFlight)+" in flight")
	}
	if l.Streams > 0 {
		parts = append(parts, fmt.Sprintf("%d item streams", l.Streams))
	}
	return strings.Join(parts, ", ")
}

func (l *Limit) coversObject(id object.ID) bool { return covers(l.Objects, id) }

// LimitsOf returns the limits of a principal's calls of an object, which may be one of the host's own, sorted by
// name. It does not allocate if there are none.
func (p *Policy) LimitsOf(who object.Principal, id object.ID) []*Limit {
	var out []*Limit
	for _, s := range p.Subjects[who] {
		out = s.Limits.Covering(id, out)
	}
	if len(out) > 1 {
		slices.SortFunc(out, func(a, b *Limit) int { return strings.Compare(a.Name, b.Name) })
		out = slices.Compact(out)
	}
	return out
}

// Share is what a principal may have of the host, whatever it calls; zero fields say nothing.
type Share struct {
	Connections int
	InFlight    int64 // bytes
	Streams     int
	Reason      string // of the limit of connections
}

// ShareOf returns a principal's share: of several limits the smallest.
func (p *Policy) ShareOf(who object.Principal) Share {
	var out Share
	for _, s := range p.Subjects[who] {
		for _, l := range s.Shares {
			if n := l.Connections; n > 0 && (out.Connections == 0 || n < out.Connections) {
				out.Connections, out.Reason = n, l.Reason
			}
			if n := l.InFlight; n > 0 && (out.InFlight == 0 || n < out.InFlight) {
				out.InFlight = n
			}
			if n := l.Streams; n > 0 && (out.Streams == 0 || n < out.Streams) {
				out.Streams = n
			}
		}
	}
	return out
}
