package policy

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy/condition"
)

// Query is what a question says of a caller besides who it is. What it does not say is
// not known, and conditions that ask for it deny.
type Query struct {
	Peer object.Peer
	at   time.Time
}

// QueryNames are the facts that a question may give.
var QueryNames = []string{"channel", "auth", "address", "uid", "time"}

// Set gives a fact by its name. The error says what its value looks like.
func (g *Query) Set(name, value string) error {
	one := func(values []string) error {
		if slices.Contains(values, value) {
			return nil
		}
		return hint("want one of " + strings.Join(values, ", "))
	}
	switch name {
	case "channel":
		g.Peer.Channel = value
		return one(condition.Channels)
	case "auth":
		g.Peer.Auth = value
		return one(object.AuthMethods)
	case "address":
		g.Peer.Addr = value
		if _, err := netip.ParseAddr(value); err != nil {
			return hint(`want an address like "192.0.2.7"`)
		}
	case "uid":
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return hint("want a user id")
		}
		g.Peer.UID, g.Peer.Auth = uint32(n), object.AuthPeer
	case "time":
		at, err := time.Parse(time.RFC3339, value)
		if err != nil {
			return hint(`want a time like "2027-01-31T18:00:00Z"`)
		}
		g.at = at
	default:
		return hint("want one of " + strings.Join(QueryNames, ", "))
	}
	return nil
}

// hint is an error that says what to write.
type hint string

func (h hint) Error() string { return string(h) }

// DecideQuery is [Policy.Decide] for a caller of whom no more is known than what is given.
func (p *Policy) DecideQuery(who object.Principal, g Query, id object.ID, m object.Method) Decision {
	c := object.Caller{Principal: who, Peer: g.Peer}
	if from, ok := who.Object(); ok {
		c.Tenant = from.Tenant()
		c.Peer.Channel, c.Peer.Addr = "object", string(from)
	}
	return p.decide(&c, id, m, &g.at)
}

// SplitCall takes "acme.shop.cart.add" apart into object and method. The error is a hint.
func SplitCall(call string) (object.ID, object.Method, error) {
	errForm := errors.New("write <tenant>.<name>.<method>")
	i := strings.LastIndexByte(call, '.')
	if i < 0 {
		return "", "", errForm
	}
	id, m := object.ID(call[:i]), object.Method(call[i+1:])
	if _, err := object.ParseID(string(id)); err != nil {
		return "", "", errForm
	}
	return id, m, nil
}
