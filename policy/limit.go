package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hearthhost/hearth/internal/bytesize"
	"github.com/hearthhost/hearth/object"
)

// Limit bounds the calls of each principal to each object that it covers. Every pair of principal and object has
// its own count. A limit can also bound a principal's use of the host, over all objects. Compare limits by address.
type Limit struct {
	Name   string
	Reason string // for messages and the log: `policy.hcl:30 limit "partners"`

	Interval   time.Duration // inverse of the rate: 10 ms for 100/s; 0: no rate
	Rate       string        // as in the file: "100/s"
	Burst      int           // calls that are allowed at once after a pause
	Concurrent int           // running calls; 0: not bounded

	// Bounds of a principal, over all objects; 0: the host's default.
	Connections int   // open connections
	InFlight    int64 // bytes of messages and replies that the host holds
	Streams     int   // open item streams

	Objects []Pattern
}

// String returns the bounds, as "100/s, 4 at a time".
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

// LimitsOf returns the limits of a principal's calls of an object, sorted by name. The object may be the host's own.
// It does not allocate if no limit applies.
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

// Share bounds a principal's use of the host, over all objects; zero fields are not set.
type Share struct {
	Connections int
	InFlight    int64 // bytes
	Streams     int
	Reason      string // reason of the limit of connections
}

// ShareOf returns a principal's share. Each field is the smallest of the applicable limits.
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
