package main_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// obsoleteKeyExchange connects with a key exchange that Go's servers reject, unless GODEBUG enables it.
func obsoleteKeyExchange(t *testing.T, addr string) error {
	t.Helper()
	d := &tls.Dialer{NetDialer: &net.Dialer{Timeout: time.Minute}, Config: &tls.Config{InsecureSkipVerify: true,
		MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}}}
	c, err := d.DialContext(t.Context(), "tcp", addr)
	if err == nil {
		c.Close()
	}
	return err
}

// TestForgottenVariables sets the variables of Go that weaken TLS, change time zones, and name the account of a user
// without one: neither a host nor a check of its policy uses them.
func TestForgottenVariables(t *testing.T) {
	t.Setenv("GODEBUG", "tlsrsakex=1")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour)}
	forServer(template)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	check(t, err)

	// It works on a server that obeys: this process.
	plain, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{MinVersion: tls.VersionTLS12,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	check(t, err)
	defer plain.Close()
	go func() {
		if c, err := plain.Accept(); err == nil {
			_ = c.(*tls.Conn).HandshakeContext(t.Context())
			c.Close()
		}
	}()
	if err := obsoleteKeyExchange(t, plain.Addr().String()); err != nil {
		t.Fatalf("the attack works on no server; find another: %v", err)
	}

	h := startHostWith(t, `
listener "tcp" {
  address = "127.0.0.1:0"
  tls {
    cert        = "host.pem"
    key         = "host.key"
    min_version = "1.2"
  }
}
tenant "demo" {}
`, func(dir string) {
		writePEM(t, filepath.Join(dir, "host.pem"), "CERTIFICATE", der)
		pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
		check(t, err)
		writePEM(t, filepath.Join(dir, "host.key"), "PRIVATE KEY", pkcs8)
	})
	if err := obsoleteKeyExchange(t, h.tcp); err == nil {
		t.Error("GODEBUG counts: the host took a key exchange without forward secrecy")
	}

	// A Berlin that has the time of Greenwich: there it is noon an hour later.
	zones := t.TempDir()
	check(t, os.MkdirAll(filepath.Join(zones, "Europe"), 0o755))
	head := append([]byte("TZif"), make([]byte, 40)...)
	head[39], head[43] = 1, 4 // one kind of time, four bytes of names
	greenwich := append(append(head, make([]byte, 6)...), "GMT\x00"...)
	if _, err := time.LoadLocationFromTZData("Europe/Berlin", greenwich); err != nil {
		t.Fatalf("the forged zone is invalid: %v", err)
	}
	check(t, os.WriteFile(filepath.Join(zones, "Europe", "Berlin"), greenwich, 0o600))
	policy := filepath.Join(h.dir, "zones.hcl")
	check(t, os.WriteFile(policy, []byte(`
timezone = "Europe/Berlin"
listener "local" { address = "127.0.0.1:0" }
principal "me" { host_user = true }
tenant "demo" {}
permit "in the morning" {
  principals = ["me"]
  objects    = ["demo.*"]
  when       = time.of_day < "12:00"
}
test "afternoon" {
  principal = "me"
  call      = "demo.echo.echo"
  time      = "2027-01-31T11:30:00Z"
  want      = "deny"
}
`), 0o644))
	t.Setenv("ZONEINFO", zones)
	if out, err := exec.CommandContext(t.Context(), h.bin, "policy", "test", "--policy",
		policy).CombinedOutput(); err != nil {
		t.Errorf("ZONEINFO counts: %v\n%s", err, out)
	}

	if os.Getuid() != 0 || runtime.GOOS != "linux" {
		t.Skip("SKIPPED: only root can become a user without an account")
	}
	check(t, os.WriteFile(policy, []byte(`
listener "local" { address = "127.0.0.1:0" }
principal "mallory" { user = "mallory-of-nowhere" }
`), 0o644))
	somebody := exec.CommandContext(t.Context(), h.bin, "policy", "check", "--policy", policy)
	somebody.Env = []string{"USER=mallory-of-nowhere", "HOME=/"}
	somebody.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 54321, Gid: 54321}}
	if out, err := somebody.CombinedOutput(); err == nil ||
		!strings.Contains(string(out), "account may come from $USER") {
		t.Errorf("USER counts: %v\n%s", err, out)
	}
}
