package advice_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/host/advice"
	"github.com/hearthhost/hearth/policy/policyfile"
)

// TestCommonNameAdvice loads policies that identify callers by common name, under an authority with name constraints.
// The constraints do not cover common names, so that the host warns.
func TestCommonNameAdvice(t *testing.T) {
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, domains := range map[string][]string{"unconstrained": nil, "constrained": {"partner.example"}} {
		template := &x509.Certificate{
			SerialNumber:          big.NewInt(1),
			Subject:               pkix.Name{CommonName: name},
			NotAfter:              time.Now().Add(time.Hour),
			IsCA:                  true,
			BasicConstraintsValid: true,
			KeyUsage:              x509.KeyUsageCertSign,
			PermittedDNSDomains:   domains,
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
		if err := os.WriteFile(filepath.Join(dir, name+".pem"), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const text = `listener "wan" {
  address  = "127.0.0.1:0"
  identify = ["cert"]
  tls {
    cert      = "host.pem"
    key       = "host.key"
    client_ca = "%s.pem"
  }
}
tenant "acme" {}
principal "partner" {
  cert { %s }
}
permit "all" {
  principals = ["partner"]
  objects    = ["acme.*"]
  %s
}
`
	const condition = `when = caller.cert.common_name == "boss"`
	for name, test := range map[string]struct{ ca, cert, when, want string }{
		"common name": {
			ca:   "constrained",
			cert: `common_name = "boss"`,
			want: "that identifies principal partner: it can issue any common name",
		},
		"condition": {
			ca:   "constrained",
			cert: `dns = "a.partner.example"`,
			when: condition,
			want: `policy.hcl:14 permit "all" requires: it can issue any`,
		},
		"both": {
			ca:   "constrained",
			cert: `common_name = "boss"`,
			when: condition,
			want: "identifies principal partner, and that ",
		},
		"DNS name":        {ca: "constrained", cert: `dns = "a.partner.example"`},
		"no constraints":  {ca: "unconstrained", cert: `common_name = "boss"`, when: condition},
		"file is missing": {ca: "missing", cert: `common_name = "boss"`},
	} {
		file := filepath.Join(dir, "policy.hcl")
		if err := os.WriteFile(file, fmt.Appendf(nil, text, test.ca, test.cert, test.when), 0o644); err != nil {
			t.Fatal(err)
		}
		p, err := policyfile.Load(file, os.Getuid())
		if err != nil {
			t.Fatal(err)
		}
		var got string
		for _, warning := range advice.Policy(p, time.Now()) {
			if strings.Contains(warning, "name constraints") {
				got += warning
			}
		}
		if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: warnings %q, want %q", name, got, test.want)
		}
	}
}
