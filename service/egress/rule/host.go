package rule

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Host is a host that a block permits.
type Host struct {
	Name   string // lower case, or the canonical text of an IP address
	Suffix bool   // one label before Name is required: "*.example.com" does not match example.com
	Port   uint16 // 0: the port of the scheme
}

// ParseHost reads a host of the policy: "api.example.com", "*.example.com", "10.1.2.3" or "[2001:db8::1]", each with
// or without ":port".
func ParseHost(s string) (Host, error) {
	rest, suffix := strings.CutPrefix(s, "*.")
	name, port, err := splitAuthority(rest)
	if err != nil {
		return Host{}, err
	}
	name = strings.ToLower(name)
	if err := checkHost(name); err != nil {
		return Host{}, err
	}
	if suffix && (isIP(name) || !strings.Contains(name, ".")) {
		return Host{}, fmt.Errorf("%q: behind *. must be a name with at least two labels", s)
	}
	return Host{Name: name, Suffix: suffix, Port: port}, nil
}

// String returns the host as the policy has it.
func (h Host) String() string {
	s := h.Name
	if strings.Contains(s, ":") {
		s = "[" + s + "]"
	}
	if h.Suffix {
		s = "*." + s
	}
	if h.Port != 0 {
		s += ":" + strconv.Itoa(int(h.Port))
	}
	return s
}

// Match reports whether the host permits a target.
func (h Host) Match(t *Target) bool {
	port := h.Port
	if port == 0 {
		port = defaultPort(t.Scheme)
	}
	if port != t.Port {
		return false
	}
	if !h.Suffix {
		return t.Host == h.Name
	}
	label, ok := strings.CutSuffix(t.Host, "."+h.Name)
	return ok && label != "" && !strings.Contains(label, ".")
}

func defaultPort(scheme string) uint16 {
	if scheme == "http" {
		return 80
	}
	return 443
}

func isIP(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// splitAuthority splits "host:port". An IPv6 address is in brackets, which are removed. port is 0 without one.
func splitAuthority(s string) (host string, port uint16, err error) {
	host = s
	digits, hasPort := "", false
	if rest, ok := strings.CutPrefix(s, "["); ok {
		if host, digits, ok = strings.Cut(rest, "]"); !ok {
			return "", 0, fmt.Errorf("host %.80q has no closing bracket", s)
		}
		if !strings.Contains(host, ":") {
			return "", 0, fmt.Errorf("host %.80q: brackets are for IPv6 addresses", s)
		}
		if digits != "" {
			if digits, hasPort = strings.CutPrefix(digits, ":"); !hasPort {
				return "", 0, fmt.Errorf("host %.80q has text behind the bracket", s)
			}
		}
	} else {
		host, digits, hasPort = strings.Cut(s, ":")
	}
	if !hasPort {
		return host, 0, nil
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || n == 0 || digits[0] == '0' || digits[0] == '+' {
		return "", 0, fmt.Errorf("host %.80q: the port is not a number from 1 to 65535", s)
	}
	return host, uint16(n), nil
}

// checkHost returns an error unless s is a host name in ASCII and lower case, or an IP address in its canonical form.
// Other forms of an address, such as 2130706433, 0x7f.1 and 127.1, are errors: some resolvers accept them.
func checkHost(s string) error {
	if s == "" {
		return fmt.Errorf("the host is empty")
	}
	if len(s) > 253 {
		return fmt.Errorf("the host has %d bytes, at most 253", len(s))
	}
	if strings.Contains(s, ":") {
		a, err := netip.ParseAddr(s)
		switch {
		case err != nil || a.Zone() != "":
			return fmt.Errorf("host %.80q is not an IPv6 address without a zone", s)
		case a.Is4In6() || a.String() != s:
			return fmt.Errorf("host %.80q is not in canonical form; write %s", s, a.Unmap())
		}
		return nil
	}
	labels := strings.Split(s, ".")
	for _, label := range labels {
		if err := checkLabel(s, label); err != nil {
			return err
		}
	}
	last := labels[len(labels)-1]
	if last[0] < '0' || last[0] > '9' {
		return nil
	}
	// A name that ends in a number is an IPv4 address for many parsers.
	if a, err := netip.ParseAddr(s); err != nil || a.String() != s {
		return fmt.Errorf("host %.80q ends in a number and is not an IPv4 address of four decimal numbers", s)
	}
	return nil
}

func checkLabel(host, label string) error {
	switch {
	case label == "":
		return fmt.Errorf("host %.80q has an empty label; write it without a dot at its end", host)
	case len(label) > 63:
		return fmt.Errorf("host %.80q has a label of %d bytes, at most 63", host, len(label))
	case label[0] == '-' || label[len(label)-1] == '-':
		return fmt.Errorf("host %.80q has a label with '-' at an end", host)
	}
	for i := range len(label) {
		c := label[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		case c >= 0x80:
			return fmt.Errorf("host %.80q is not ASCII; write its ASCII form, which has labels xn--…", host)
		case c == '%':
			return fmt.Errorf("host %.80q has a percent sign", host)
		default:
			return fmt.Errorf("host %.80q has the byte %q", host, string(c))
		}
	}
	return nil
}
