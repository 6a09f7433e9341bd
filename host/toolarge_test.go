package host_test

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// TestTooLarge sends messages slightly and far above the bound, plain and compressed. The caller receives an error with
// the size and the bound, the host logs a warning, and the next call is answered.
func TestTooLarge(t *testing.T) {
	var log syncBuffer
	h, _ := startHost(t, everything, func(cfg *host.Config) { cfg.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	patterns := map[wire.Protocol]*regexp.Regexp{
		wire.Pyro4: regexp.MustCompile(`^max message size exceeded \((\d+) where max=8388608\); not executed$`),
		wire.Pyro5: regexp.MustCompile(`^message too large \((\d+), max=8388608\); not executed$`)}
	for _, proto := range []wire.Protocol{wire.Pyro4, wire.Pyro5} {
		class := proto.Module() + ".errors.MessageTooLargeError"
		for _, n := range []int{8 << 20, 40 << 20} {
			for _, ser := range []string{"serpent", "json", "msgpack"} {
				c := dial(t, h.Addrs()[0], client.Config{Protocol: proto, Serializer: ser})
				_, err := c.Object("acme.echo").Call(t.Context(), "echo", strings.Repeat("x", n))
				wantRemote(t, err, class, "")
				var re *client.RemoteError
				if errors.As(err, &re) {
					match := patterns[proto].FindStringSubmatch(re.Message())
					size, _ := strconv.Atoi(strings.Join(match[min(1, len(match)):], ""))
					if size <= n || size > n+200 {
						t.Errorf("%v, %s: argument of %d bytes: %s", proto, ser, n, re.Message())
					}
				}
				if got, err := c.Object("acme.echo").Call(t.Context(), "echo", 1); err != nil || got != int64(1) {
					t.Errorf("%v, %s: the next call: %v, %v", proto, ser, got, err)
				}
			}
		}
		c := dial(t, h.Addrs()[0], client.Config{Protocol: proto, Compress: true})
		_, err := c.Object("acme.echo").Call(t.Context(), "echo", strings.Repeat("x", 9<<20))
		wantRemote(t, err, class, "message too large once decompressed (max=8388608); not executed")
		if got, err := c.Object("acme.echo").Call(t.Context(), "echo", 1); err != nil || got != int64(1) {
			t.Errorf("%v: the call after a compressed one: %v, %v", proto, got, err)
		}
	}
	lines := 0
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "a message is too large") {
			lines++
			for _, part := range []string{"level=WARN", "principal=owner", "max=8388608"} {
				if !strings.Contains(line, part) {
					t.Errorf("a log line without %s: %s", part, line)
				}
			}
		}
	}
	if want := 2 * (2*3 + 1); lines != want {
		t.Errorf("%d warnings, want %d:\n%s", lines, want, log.String())
	}
}

// TestResultTooLarge checks that the error for a result above the object's limit names that limit, and the error for a
// result above the client's bound names that bound.
func TestResultTooLarge(t *testing.T) {
	h, _ := startHost(t, limited("object \"echo\" {\n limits {\n result = \"100KiB\"\n }\n}"))
	c := dial(t, h.Addrs()[0], client.Config{MaxMessageBytes: 50_000, Serializer: "msgpack"})
	_, err := c.Object("acme.echo").Call(t.Context(), "controls", 200_000)
	wantRemote(t, err, "", "has more than 102400 bytes in all")
	_, err = c.Object("acme.echo").Call(t.Context(), "controls", 60_000)
	const text = "max=50000) (the call was executed)"
	if object.CodeOf(err) != object.CodeTooLarge || !strings.Contains(fmt.Sprint(err), text) {
		t.Errorf("a result above the client's bound: %v", err)
	}
	if got, err := c.Object("acme.echo").Call(t.Context(), "controls", 3); err != nil || got != "\x01\x01\x01" {
		t.Errorf("the next call: %v, %v", got, err)
	}
}
