package policy

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hearthhost/hearth/object"
)

// Given is what a question says of a caller besides who it is. What it does not say is
// not known, and conditions that ask for it deny.
type Given struct {
	peer object.Peer
	at   time.Time
}

// GivenNames are the facts that a question may give.
var GivenNames = []string{"channel", "way", "address", "uid", "time"}

// Set gives a fact by its name. The error says what its value looks like.
func (g *Given) Set(name, value string) error {
	one := func(values []string) error {
		if slices.Contains(values, value) {
			return nil
		}
		return hint("want one of " + strings.Join(values, ", "))
	}
	switch name {
	case "channel":
		g.peer.Channel = value
		return one(channels)
	case "way":
		g.peer.Auth = value
		return one(object.AuthMethods)
	case "address":
		g.peer.Addr = value
		if _, err := netip.ParseAddr(value); err != nil {
			return hint(`want an address like "192.0.2.7"`)
		}
	case "uid":
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return hint("want a user id")
		}
		g.peer.UID, g.peer.Auth = uint32(n), object.AuthPeer
	case "time":
		at, err := time.Parse(time.RFC3339, value)
		if err != nil {
			return hint(`want a time like "2027-01-31T18:00:00Z"`)
		}
		g.at = at
	default:
		return hint("want one of " + strings.Join(GivenNames, ", "))
	}
	return nil
}

// hint is an error that says what to write.
type hint string

func (h hint) Error() string { return string(h) }

// DecideGiven is [Policy.Decide] for a caller of whom no more is known than what is given.
func (p *Policy) DecideGiven(who object.Principal, g Given, id object.ID, m object.Method) Decision {
	c := object.Caller{Principal: who, Peer: g.peer}
	if from, ok := who.Object(); ok {
		c.Tenant = from.Tenant()
		c.Peer.Channel, c.Peer.Addr = "object", string(from)
	}
	return p.decide(&c, id, m, &g.at)
}
