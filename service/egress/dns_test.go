package egress_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hearthhost/hearth/service/egress"
	"github.com/hearthhost/hearth/service/egress/rule"
)

// zone has the addresses of the names of a DNS server. A name in front of "->" is an alias.
type zone struct {
	mu sync.Mutex
	// answers has the answers of each name. The first one is used up unless it is the last; "a b" are two addresses.
	answers map[string][]string
	queries atomic.Int64
}

// next returns the answer to the next query of a name.
func (z *zone) next(name string) []string {
	z.mu.Lock()
	defer z.mu.Unlock()
	list := z.answers[name]
	if len(list) == 0 {
		return nil
	}
	if len(list) > 1 {
		z.answers[name] = list[1:]
	}
	return strings.Fields(list[0])
}

// resolver starts a DNS server on loopback, and returns the resolver of Go with that server.
func (z *zone) resolver(t *testing.T) egress.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			if reply := z.reply(b[:n]); reply != nil {
				_, _ = conn.WriteTo(reply, from)
			}
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// reply answers one query. Source: RFC 1035, section 4.
func (z *zone) reply(q []byte) []byte {
	if len(q) < 17 {
		return nil
	}
	var labels []string
	at := 12
	for q[at] != 0 {
		labels = append(labels, string(q[at+1:at+1+int(q[at])]))
		at += 1 + int(q[at])
	}
	kind := binary.BigEndian.Uint16(q[at+1:])
	question := q[12 : at+5]
	z.queries.Add(1)
	var records []byte
	count := 0
	add := func(owner []byte, kind uint16, data []byte) {
		records = append(records, owner...)
		records = binary.BigEndian.AppendUint16(records, kind)
		records = append(records, 0, 1, 0, 0, 0, 0) // class IN, TTL 0
		records = binary.BigEndian.AppendUint16(records, uint16(len(data)))
		records = append(records, data...)
		count++
	}
	owner := []byte{0xc0, 12} // the name of the question
	name := strings.Join(labels, ".")
	if kind == 28 {
		name += " AAAA"
	}
	for _, a := range z.next(name) {
		if alias, ok := strings.CutPrefix(a, "->"); ok {
			var data []byte
			for label := range strings.SplitSeq(alias, ".") {
				data = append(append(data, byte(len(label))), label...)
			}
			data = append(data, 0)
			add(owner, 5, data)
			owner = data
			continue
		}
		if ip := netip.MustParseAddr(a); kind == 1 && ip.Is4() || kind == 28 && ip.Is6() {
			add(owner, kind, ip.AsSlice())
		}
	}
	reply := append([]byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, byte(count), 0, 0, 0, 0}, question...)
	return append(reply, records...)
}

// TestAddressAttacks has names whose DNS answers lead to addresses that no block permits. The server on them must get
// no connection: 127.0.0.2 stands for a public address, and 127.0.0.1 for a private one.
func TestAddressAttacks(t *testing.T) {
	t.Parallel()
	var private, public atomic.Int64
	inside := raw(t, func(net.Conn) { private.Add(1) })
	to := port(t, inside.Listener.Addr())
	outside, err := net.Listen("tcp", "127.0.0.2:"+itoa(int(to)))
	if err != nil {
		t.Skip("no second loopback address: ", err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		public.Add(1)
		w.Header().Set("Connection", "close") // each request resolves the name again
	})}
	go func() { _ = server.Serve(outside) }()
	t.Cleanup(func() { server.Close() })

	many := strings.Repeat("127.0.0.1 ", 30)
	z := &zone{answers: map[string][]string{
		"rebind.test":      {"127.0.0.2", "127.0.0.1"},
		"private.test":     {"127.0.0.1"},
		"alias.test":       {"->internal.test 127.0.0.1"},
		"meta.test":        {"169.254.169.254"},
		"zero.test":        {"0.0.0.0"},
		"many.test":        {many},
		"mixed.test":       {"127.0.0.1 10.0.0.1 127.0.0.2"},
		"mapped.test AAAA": {"::ffff:127.0.0.1"},
		"nat64.test AAAA":  {"64:ff9b::7f00:1"},
		"6to4.test AAAA":   {"2002:7f00:1::1"},
		"teredo.test AAAA": {"2001:0:7f00:1::1"},
		"loop6.test AAAA":  {"::1"},
		"link.test AAAA":   {"fe80::1"},
		"ula.test AAAA":    {"fd00:ec2::254"},
		"compat.test AAAA": {"::7f00:1"},
	}}
	resolver := z.resolver(t)
	bench := newBench(t, func(cfg *egress.Config) { cfg.Resolver = resolver })
	block := func(host string) *rule.Block {
		b := blockOf(t, inside)
		b.Name = strings.ReplaceAll(host, ".", "-")
		b.Hosts = []rule.Host{{Name: host, Port: to}}
		b.Private = []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}
		return b
	}
	for _, host := range []string{"private.test", "alias.test", "meta.test", "zero.test", "many.test", "nat64.test",
		"6to4.test", "teredo.test", "loop6.test", "link.test", "ula.test", "compat.test"} {
		bench.fails(block(host), &egress.Request{Method: "GET", URL: "/"}, egress.ClassDenied, "; not sent")
	}
	// The resolver of Go drops IPv4-mapped addresses of AAAA records, or returns them as IPv4.
	if _, err := bench.do(block("mapped.test"), &egress.Request{Method: "GET", URL: "/"}); err == nil {
		t.Error("an IPv4-mapped address is permitted")
	}
	bench.fails(block("missing.test"), &egress.Request{Method: "GET", URL: "/"}, egress.ClassFailed,
		"no such host; not sent")
	bench.get(block("mixed.test"), "/")
	if public.Load() != 1 {
		t.Errorf("%d requests arrived at the permitted one of several addresses", public.Load())
	}
	rebind := block("rebind.test")
	bench.get(rebind, "/")
	bench.fails(rebind, &egress.Request{Method: "GET", URL: "/"}, egress.ClassDenied, "127.0.0.1")
	if private.Load() != 0 || public.Load() != 2 {
		t.Errorf("%d connections to the private server, %d requests of the public one", private.Load(), public.Load())
	}
	if n := strings.Count(bench.log(), "denied"); n != 14 {
		t.Errorf("%d refusals were recorded:\n%s", n, bench.log())
	}
}

// TestOwnListeners has a block that permits loopback, on which the host listens itself.
func TestOwnListeners(t *testing.T) {
	t.Parallel()
	var connected atomic.Int64
	s := raw(t, func(net.Conn) { connected.Add(1) })
	to := port(t, s.Listener.Addr())
	for _, own := range []string{"127.0.0.1", "0.0.0.0", "::", "::ffff:127.0.0.1"} {
		bench := newBench(t, func(cfg *egress.Config) {
			cfg.Own = func() []netip.AddrPort {
				return []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:1"),
					netip.AddrPortFrom(netip.MustParseAddr(own), to)}
			}
		})
		bench.fails(blockOf(t, s), &egress.Request{Method: "GET", URL: "/"}, egress.ClassDenied,
			"a listener of this host")
	}
	if connected.Load() != 0 {
		t.Error("a listener of the host got a connection")
	}
}

// TestLookups checks that one lookup decides about a connection, and that no search list of the machine is used.
func TestLookups(t *testing.T) {
	t.Parallel()
	names := &fixed{addrs: addrs("127.0.0.1")}
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	bench := newBench(t, func(cfg *egress.Config) { cfg.Resolver = names })
	b := blockOf(t, s)
	bench.get(b, "/")
	bench.get(b, "/")
	if got := strings.Join(names.names, " "); got != "example.com." {
		t.Errorf("looked up %q", got)
	}
}
