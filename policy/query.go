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

// Query holds the connection attributes and the time of a policy query. A condition on an unset attribute denies.
type Query struct {
	Peer object.Peer
	time time.Time
}

// QueryNames are the attributes that [Query.Set] sets.
var QueryNames = []string{"channel", "auth", "gateway", "address", "uid", "time"}

// Set sets an attribute. The error describes the valid values.
func (q *Query) Set(name, value string) error {
	one := func(values []string) error {
		if slices.Contains(values, value) {
			return nil
		}
		return hint("valid: " + strings.Join(values, ", "))
	}
	switch name {
	case "channel":
		q.Peer.Channel = value
		return one(condition.Channels)
	case "auth":
		q.Peer.Auth = value
		return one(object.AuthMethods)
	case "gateway":
		q.Peer.Gateway = value
		return one(object.Gateways)
	case "address":
		q.Peer.Addr = value
		if _, err := netip.ParseAddr(value); err != nil {
			return hint(`write an address like "192.0.2.7"`)
		}
	case "uid":
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return hint("write a user id")
		}
		q.Peer.UID, q.Peer.Auth = uint32(n), object.AuthPeer
	case "time":
		at, err := time.Parse(time.RFC3339, value)
		if err != nil {
			return hint(`write a time like "2027-01-31T18:00:00Z"`)
		}
		q.time = at
	default:
		return hint("valid: " + strings.Join(QueryNames, ", "))
	}
	return nil
}

// SetClaims sets the claims of the caller's token.
func (q *Query) SetClaims(claims map[string]object.Claim) {
	if q.Peer.Auth == "" {
		q.Peer.Auth = object.AuthOIDC
	}
	q.Peer.Claims = &object.Claims{Values: claims}
}

// hint is an error that describes the valid values.
type hint string

func (h hint) Error() string { return string(h) }

// DecideQuery is [Policy.Decide] for a caller of which only the attributes of the query are known.
func (p *Policy) DecideQuery(who object.Principal, q Query, id object.ID, m object.Method) Decision {
	c := object.Caller{Principal: who, Peer: q.Peer}
	if from, ok := who.Object(); ok {
		c.Tenant = from.Tenant()
		c.Peer.Channel, c.Peer.Addr, c.Peer.Gateway = "object", string(from), object.GatewayObject
	}
	if name, ok := who.Webhook(); ok {
		c.Peer.Auth, c.Peer.Key, c.Peer.Gateway = object.AuthWebhook, name, object.GatewayWebhook
	}
	return p.decide(&c, id, m, &q.time)
}

// SplitCall splits "acme.shop.cart.add" into object and method. The error is a hint.
func SplitCall(call string) (object.ID, object.Method, error) {
	errForm := errors.New("write <tenant>.<name>.<method>")
	i := strings.LastIndexByte(call, '.')
	if i < 0 {
		return "", "", errForm
	}
	id, m := object.ID(call[:i]), object.Method(call[i+1:])
	if _, err := object.ParseTarget(string(id)); err != nil {
		return "", "", errForm
	}
	return id, m, nil
}
