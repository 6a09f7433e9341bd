package policyfile_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/policyfile"
)

// identities is a policy with every authentication method.
const identities = `
listener "local" { address = "127.0.0.1:7766" }
listener "wan" {
  address  = "0.0.0.0:7767"
  identify = ["cert", "hmac"]
  tls {
    cert      = "tls/host.pem"
    key       = "/etc/host.key"
    client_ca = "tls/ca.pem"
    revoked   = "tls/revoked"
  }
}
listener "old" {
  address  = "127.0.0.1:7768"
  identify = ["pyro4-hmac", "peer"]
}
principal "alice" {
  user       = "alice"
  keys       = ["keys/alice.key", "keys/alice-laptop.key"]
  pyro4_keys = ["keys/alice.pyro4"]
  cert { common_name = "alice" }
  cert { serial = "0A:0b" }
}
principal "build" {
  cert {
    dns = "build.example"
    uri = "spiffe://example/build"
  }
}
principal "twin"  {
  cert { dns = "twin.example" }
}
principal "twin2" {
  cert { sha256 = "AA:` + "bb" + `aabbaabbaabbaabbaabbaabbaabbaabbaabbaabbaabbaabbaabbaabbaabb" }
}
`

func TestIdentities(t *testing.T) {
	p, err := policyfile.Parse("policy.hcl", []byte(identities), "/base", hostUID, accounts)
	if err != nil {
		t.Fatal(err)
	}
	want := []policy.Listener{
		{Name: "local", Address: "127.0.0.1:7766", Identify: []string{"peer"}, Plain: true},
		{Name: "wan", Address: "0.0.0.0:7767", Identify: []string{"cert", "hmac"},
			TLS: &policy.TLS{Cert: "/base/tls/host.pem", Key: "/etc/host.key", ClientCA: []string{"/base/tls/ca.pem"},
				Revoked: []string{"/base/tls/revoked"}, MinVersion: "1.3"}},
		{Name: "old", Address: "127.0.0.1:7768", Identify: []string{"pyro4-hmac", "peer"}, Plain: true},
	}
	if diff := cmp.Diff(want, p.Listeners, fields); diff != "" {
		t.Error(diff)
	}
	keys := []policy.KeyFile{{Principal: "alice", Path: "/base/keys/alice.key"},
		{Principal: "alice", Path: "/base/keys/alice-laptop.key"}}
	if diff := cmp.Diff(keys, p.Keys, fields); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]policy.KeyFile{{Principal: "alice", Path: "/base/keys/alice.pyro4"}}, p.LegacyKeys,
		fields); diff != "" {
		t.Error(diff)
	}
	const ca = "/base/tls/ca.pem"
	for name, tt := range map[string]struct {
		cert object.Certificate
		who  object.Principal
	}{
		"common name":             {object.Certificate{CA: ca, CommonName: "alice"}, "alice"},
		"another authority":       {object.Certificate{CA: "/base/other.pem", CommonName: "alice"}, object.Anonymous},
		"no authority":            {object.Certificate{CommonName: "alice"}, object.Anonymous},
		"longer common name":      {object.Certificate{CA: ca, CommonName: "alice2"}, object.Anonymous},
		"common name as DNS name": {object.Certificate{CA: ca, DNS: []string{"alice"}}, object.Anonymous},
		"serial":                  {object.Certificate{CA: ca, CommonName: "x", Serial: "a0b"}, "alice"},
		"half of two":             {object.Certificate{CA: ca, DNS: []string{"build.example"}}, object.Anonymous},
		"both of two": {object.Certificate{CA: ca, DNS: []string{"a.example", "BUILD.example"},
			URIs: []string{"spiffe://example/build"}}, "build"},
		"fingerprint": {object.Certificate{CA: ca, SHA256: strings.Repeat("aabb", 16)}, "twin2"},
		"two principals": {object.Certificate{CA: ca, SHA256: strings.Repeat("aabb", 16),
			DNS: []string{"twin.example"}}, object.Anonymous},
		"two rules, one": {object.Certificate{CA: ca, CommonName: "alice", Serial: "a0b"}, "alice"},
		"empty":          {object.Certificate{}, object.Anonymous},
	} {
		if got := p.Principal(object.Peer{Auth: "cert", Cert: &tt.cert}); got != tt.who {
			t.Errorf("%s: %s, want %s", name, got, tt.who)
		}
		if got := p.Principal(object.Peer{Cert: &tt.cert}); got != object.Anonymous {
			t.Errorf("%s: an unproven certificate makes %s", name, got)
		}
	}
	if got := p.Principal(object.Peer{Auth: "cert"}); got != object.Anonymous {
		t.Errorf("no certificate makes %s", got)
	}
}

// TestSharedUsers checks the warning about a user id that many programs share, and its line.
func TestSharedUsers(t *testing.T) {
	for text, want := range map[string]string{
		`principal "r" { uid = 0 }`:         `principal "r" is root`,
		`principal "n" { uid = 65534 }`:     `principal "n" is the shared unprivileged user`,
		`principal "a" { user = "root" }`:   `a container on the host's network`,
		`principal "b" { user = "nobody" }`: `principal "b" is the shared unprivileged user`, // with another uid here
		`principal "c" { uid = 1002 }`:      "",
	} {
		p := mustParse(t, head+text+"\n")
		got := p.Warnings.Error()
		if (want == "") != (len(p.Warnings) == 0) || !strings.Contains(got, want) || want != "" &&
			!strings.HasPrefix(got, "policy.hcl:8:") {
			t.Errorf("%s: warnings %q, want %q in line 8", text, got, want)
		}
	}
}
