package address_test

import (
	"net/netip"
	"testing"

	"github.com/hearthhost/hearth/service/egress/address"
)

// TestCheck has addresses and the private ranges that permit them: "-" for an address that is never permitted, "" for a
// public one.
func TestCheck(t *testing.T) {
	t.Parallel()
	for text, permit := range map[string]string{
		"1.1.1.1":                   "",
		"93.184.216.34":             "",
		"2606:4700:4700::1111":      "",
		"2001:4860:4860::8888":      "",
		"10.0.0.1":                  "10.0.0.0/8",
		"100.64.0.1":                "100.64.0.0/10",
		"127.0.0.1":                 "127.0.0.0/8",
		"127.255.255.254":           "127.0.0.0/8",
		"172.16.0.1":                "172.16.0.0/12",
		"172.31.255.255":            "172.16.0.0/12",
		"192.168.1.1":               "192.168.1.0/24",
		"198.18.0.1":                "198.18.0.0/15",
		"::1":                       "::1/128",
		"fd12:3456::1":              "fd12:3456::/48",
		"0.0.0.0":                   "-",
		"0.1.2.3":                   "-",
		"100.100.100.200":           "-",
		"168.63.129.16":             "-",
		"169.254.169.254":           "-",
		"169.254.1.1":               "-",
		"192.0.0.192":               "-",
		"192.0.2.1":                 "-",
		"192.88.99.1":               "-",
		"198.51.100.1":              "-",
		"203.0.113.1":               "-",
		"224.0.0.1":                 "-",
		"239.255.255.255":           "-",
		"240.0.0.1":                 "-",
		"255.255.255.255":           "-",
		"::":                        "-",
		"::ffff:127.0.0.1":          "-",
		"::ffff:1.1.1.1":            "-",
		"::127.0.0.1":               "-",
		"64:ff9b::7f00:1":           "-",
		"64:ff9b:1::1":              "-",
		"100::1":                    "-",
		"2001::1":                   "-",
		"2001:0:53aa:64c:0:7bbe::1": "-",
		"2001:10::1":                "-",
		"2001:db8::1":               "-",
		"2002:7f00:1::1":            "-",
		"3fff::1":                   "-",
		"5f00::1":                   "-",
		"fd00:ec2::254":             "-",
		"fd20:ce::254":              "-",
		"fe80::1":                   "-",
		"fe80::1%eth0":              "-",
		"2606:4700:4700::1111%eth0": "-",
		"fec0::1":                   "-",
		"ff02::1":                   "-",
		"ff0e::1":                   "-",
	} {
		a := netip.MustParseAddr(text)
		if err := address.Check(a, nil); (err == nil) != (permit == "") {
			t.Errorf("Check(%s) without ranges: %v", text, err)
		}
		ranges := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
		if permit != "" && permit != "-" {
			ranges = []netip.Prefix{netip.MustParsePrefix(permit)}
			if err := address.CheckPrivate(ranges[0]); err != nil {
				t.Error(err)
			}
		}
		if err := address.Check(a, ranges); (err == nil) != (permit != "-") {
			t.Errorf("Check(%s, %s): %v", text, ranges, err)
		}
	}
	if address.Check(netip.Addr{}, nil) == nil {
		t.Error("Check permits the zero address")
	}
}

// TestCheckPrivate has ranges that no block may permit.
func TestCheckPrivate(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"0.0.0.0/0", "::/0", "1.1.1.0/24", "169.254.0.0/16", "169.254.169.254/32",
		"10.0.0.0/7",
		"10.0.0.1/8", "64:ff9b::/96", "2002::/16", "fe80::/10", "224.0.0.0/4", "fc00::/6", "2001::/32"} {
		if address.CheckPrivate(netip.MustParsePrefix(text)) == nil {
			t.Errorf("CheckPrivate permits %s", text)
		}
	}
}
