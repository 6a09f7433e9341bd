package main_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/client"
)

// TestTooLargeOnEveryChannel sends a message above the bound through the HMAC channel, TLS and both: the client
// reads why, though it is still sending when the host answers, and its next call is answered.
func TestTooLargeOnEveryChannel(t *testing.T) {
	h := startIdentityHost(t)
	inside := h.certs("alice")
	inside.Key = "bob.key.txt"
	for name, tc := range map[string]struct {
		port    int
		profile client.Profile
	}{
		"HMAC":            {portSigned, client.Profile{Channel: "hmac", Key: "alice.key.txt"}},
		"TLS":             {portTLS, h.certs("alice")},
		"HMAC inside TLS": {portTLS, inside},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := h.client(tc.port, tc.profile)
			check(t, err)
			for _, n := range []int{8 << 20, 30 << 20} {
				_, err = c.Object("me.who").Call(t.Context(), "who", strings.Repeat("x", n))
				var re *client.RemoteError
				if !errors.As(err, &re) || re.Class != "Pyro5.errors.MessageTooLargeError" {
					t.Errorf("%d bytes: %v", n, err)
				}
			}
			if _, err := c.Object("me.who").Call(t.Context(), "who"); err != nil {
				t.Errorf("the next call: %v", err)
			}
		})
	}
}
