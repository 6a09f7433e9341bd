// Package address decides which network addresses the host connects to for scripts.
//
// It permits public addresses only. A block of the policy can add private ranges by name. Some ranges are never
// permitted: addresses of cloud metadata services, link-local and multicast addresses, and IPv6 ranges that embed an
// IPv4 address.
package address

import (
	"fmt"
	"net/netip"
	"slices"
)

// span is a range of addresses with its name in messages.
type span struct {
	prefix netip.Prefix
	name   string
}

func spans(list ...string) []span {
	var out []span
	for i := 0; i < len(list); i += 2 {
		out = append(out, span{netip.MustParsePrefix(list[i]), list[i+1]})
	}
	return out
}

// never are the ranges that no block can permit. Source: IANA special-purpose address registries, and the documents of
// cloud providers for their metadata services.
var never = spans(
	"0.0.0.0/8", "this network",
	"100.100.100.200/32", "cloud metadata",
	"168.63.129.16/32", "cloud metadata",
	"169.254.0.0/16", "link-local and cloud metadata",
	"192.0.0.0/24", "IETF protocol assignments and cloud metadata",
	"192.0.2.0/24", "documentation",
	"192.88.99.0/24", "6to4 relay",
	"198.51.100.0/24", "documentation",
	"203.0.113.0/24", "documentation",
	"224.0.0.0/4", "multicast",
	"240.0.0.0/4", "reserved",
	"fd00:ec2::/32", "cloud metadata",
	"fd20:ce::/64", "cloud metadata",
	"2001::/23", "IETF protocol assignments, Teredo among them",
	"2001:db8::/32", "documentation",
	"2002::/16", "6to4",
	"3fff::/20", "documentation",
)

// private are the ranges that a block can permit by name.
var private = spans(
	"10.0.0.0/8", "private",
	"100.64.0.0/10", "carrier-grade NAT",
	"127.0.0.0/8", "loopback",
	"172.16.0.0/12", "private",
	"192.168.0.0/16", "private",
	"198.18.0.0/15", "benchmarks of networks",
	"::1/128", "loopback",
	"fc00::/7", "private",
)

// global has all public IPv6 addresses. It excludes IPv4-mapped addresses, NAT64, link-local and multicast addresses.
var global = netip.MustParsePrefix("2000::/3")

// Check returns an error unless the host may connect to a. permitted are the private ranges of the block. An
// IPv4-mapped address must be unmapped before.
func Check(a netip.Addr, permitted []netip.Prefix) error {
	switch {
	case !a.IsValid():
		return fmt.Errorf("no address")
	case a.Zone() != "":
		return fmt.Errorf("%s has a zone", a)
	case a.Is4In6():
		return fmt.Errorf("%s is an IPv4-mapped address", a)
	}
	if s := find(never, a); s != nil {
		return fmt.Errorf("%s is in %s (%s), which is never permitted", a, s.prefix, s.name)
	}
	if s := find(private, a); s != nil {
		if slices.ContainsFunc(permitted, func(p netip.Prefix) bool { return p.Contains(a) }) {
			return nil
		}
		return fmt.Errorf("%s is in %s (%s); permit it by private = [%q]", a, s.prefix, s.name,
			netip.PrefixFrom(a, a.BitLen()))
	}
	if a.Is6() && !global.Contains(a) {
		return fmt.Errorf("%s is not a public address", a)
	}
	return nil
}

func find(list []span, a netip.Addr) *span {
	for i := range list {
		if list[i].prefix.Contains(a) {
			return &list[i]
		}
	}
	return nil
}

// CheckPrivate returns an error unless p is in a private range: a block must not permit any other range.
func CheckPrivate(p netip.Prefix) error {
	if p != p.Masked() {
		return fmt.Errorf("%s has bits behind the prefix; the range is %s", p, p.Masked())
	}
	for _, s := range private {
		if s.prefix.Bits() <= p.Bits() && s.prefix.Contains(p.Addr()) {
			return nil
		}
	}
	if s := find(never, p.Addr()); s != nil {
		return fmt.Errorf("%s is in %s (%s), which is never permitted", p, s.prefix, s.name)
	}
	return fmt.Errorf("%s is not inside one private range", p)
}
