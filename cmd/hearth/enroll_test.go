package main_test

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/transport/enroll"
	"github.com/hearthhost/hearth/transport/signed"
)

// holder returns a client with a token, after the host has read it.
func (h *identityHost) holder(tok *enroll.Token) *client.Client {
	h.t.Helper()
	secret, err := tok.Bytes()
	check(h.t, err)
	c, err := client.New(client.Config{Address: h.ports[portSigned], KeyID: tok.ID, Key: signed.Key(secret),
		Timeout: 10 * time.Second})
	check(h.t, err)
	h.t.Cleanup(func() { c.Close() })
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	for c.Ping(ctx) != nil { // until the host has looked
		if ctx.Err() != nil {
			h.t.Fatal("the host does not learn of a token")
		}
	}
	return c
}

func publicKey(t *testing.T) string {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	check(t, err)
	return base64.StdEncoding.EncodeToString(key.PublicKey().Bytes())
}

// TestTokensAreGoodForOneThing: a client with a token gets one key or certificate, the same for each request, and
// nothing else. For a client without a token the service does not exist.
func TestTokensAreGoodForOneThing(t *testing.T) {
	h := startIdentityHost(t)
	folder := filepath.Join(h.dir, "state", "enroll")
	tok, err := enroll.New(folder, "alice", enroll.Key, time.Hour, time.Now())
	check(t, err)
	stale, err := enroll.New(folder, "alice", enroll.Key, -time.Second, time.Now())
	check(t, err)
	c := h.holder(tok)
	ctx := t.Context()
	service := c.Object(object.Enroll)

	mine, theirs := publicKey(t), publicKey(t)
	first, err := service.Call(ctx, "key", mine)
	check(t, err)
	again, err := service.Call(ctx, "key", mine)
	if err != nil || fmt.Sprint(again) != fmt.Sprint(first) {
		t.Errorf("second request: %v, %v; want the first reply, %v", again, err, first)
	}
	for what, call := range map[string]func() (any, error){
		"another key":  func() (any, error) { return service.Call(ctx, "key", theirs) },
		"another kind": func() (any, error) { return service.Call(ctx, "certificate", "x") },
		"no key":       func() (any, error) { return service.Call(ctx, "key", "AAAA") },
		"a weak key": func() (any, error) {
			return service.Call(ctx, "key", base64.StdEncoding.EncodeToString(make([]byte, 32)))
		},
		"an object":      func() (any, error) { return c.Object("me.who").Call(ctx, "who") },
		"another method": func() (any, error) { return service.Call(ctx, "reset") },
		"a private one":  func() (any, error) { return service.Call(ctx, "__init__") },
	} {
		if v, err := call(); err == nil {
			t.Errorf("%s: answered with %v", what, v)
		}
	}
	if v, err := c.Object(object.Daemon).Call(ctx, "registered"); err != nil ||
		strings.Contains(fmt.Sprint(v), "me.who") {
		t.Errorf("the holder of a token sees %v, %v", v, err)
	}

	alice, err := h.client(portSigned, client.Profile{Channel: "hmac", Key: "alice.key.txt"})
	check(t, err)
	_, unknown := alice.Object("no.such").Call(ctx, "key", mine)
	if _, err := alice.Object(object.Enroll).Call(ctx, "key", mine); err == nil || err.Error() != unknown.Error() {
		t.Errorf("alice, without a token: %v, want %v", err, unknown)
	}

	secret, err := stale.Bytes()
	check(t, err)
	late, err := client.New(client.Config{Address: h.ports[portSigned], KeyID: stale.ID, Key: signed.Key(secret),
		Timeout: 10 * time.Second})
	check(t, err)
	defer late.Close()
	if err := late.Ping(ctx); err == nil || !strings.Contains(err.Error(), "did not prove") {
		t.Errorf("a token that has expired: %v", err)
	}

	// A removed token is unknown.
	check(t, enroll.Remove(folder, tok.ID))
	s, err := c.Session(ctx)
	if err == nil {
		deadline := time.Now().Add(20 * time.Second)
		for s.Object(object.Daemon) != nil {
			if _, err := s.Object(object.Daemon).Call(ctx, "ping"); err != nil {
				break
			}
			if time.Now().After(deadline) {
				t.Error("the connection of a removed token is kept")
				break
			}
		}
	}
}
