package egress_test

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/service/egress"
)

// TestHostileServers has servers that break HTTP/1.1 in their answers.
func TestHostileServers(t *testing.T) {
	t.Parallel()
	get := &egress.Request{Method: "GET", URL: "/", Timeout: 20 * time.Second}
	for _, test := range []struct {
		name, answer string
		endless      string // repeated after answer
		class, text  string
	}{
		{"no HTTP", "SSH-2.0-OpenSSH\r\n", "", egress.ClassFailed, "executed: unknown"},
		{"close", "", "", egress.ClassFailed, "sent; executed: unknown"},
		{"bad chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "", egress.ClassFailed,
			"answered"},
		{"short body", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "", egress.ClassFailed, "answered"},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "",
			egress.ClassFailed, ""},
		{"negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "", egress.ClassFailed, ""},
		{"long header", "HTTP/1.1 200 OK\r\nX-A: ", strings.Repeat("a", 1000), egress.ClassFailed, ""},
		{"many headers", "HTTP/1.1 200 OK\r\n", "X-A: a\r\n", egress.ClassFailed, ""},
		{"endless 1xx", "", "HTTP/1.1 103 Early Hints\r\nX-A: a\r\n\r\n", egress.ClassFailed, ""},
		{"endless body", "HTTP/1.1 200 OK\r\n\r\n", strings.Repeat("a", 1000), egress.ClassTooLarge, "answered"},
		{"endless chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", strings.Repeat("1\r\na\r\n", 1000),
			egress.ClassTooLarge,
			""},
		{"large length", "HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n", "a", egress.ClassTooLarge, ""},
		{"no gzip", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", "",
			egress.ClassFailed, ""},
		{"other protocol", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", "",
			egress.ClassFailed, "another protocol"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := raw(t, func(c net.Conn) {
				readHead(c)
				_, err := io.WriteString(c, test.answer)
				for err == nil && test.endless != "" {
					_, err = io.WriteString(c, test.endless)
				}
			})
			b := blockOf(t, s)
			b.Limits.ResponseBytes = 100 << 10
			newBench(t, nil).fails(b, get, test.class, test.text)
		})
	}
}

// TestSlowServers has servers that do not finish: before the headers, within them, and within the body.
func TestSlowServers(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"silent": "", "in the headers": "HTTP/1.1 200 OK\r\nX-A: a",
		"in the body": "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := raw(t, func(c net.Conn) {
				readHead(c)
				_, _ = io.WriteString(c, answer)
				_, _ = c.Read(make([]byte, 1)) // until the client has closed
			})
			b := blockOf(t, s)
			text := "no answer in time; sent; executed: unknown"
			if strings.Contains(answer, "abc") {
				text = "no complete response in time; the server has answered"
				b.Limits.Timeout = 200 * time.Millisecond
			} else {
				b.Limits.HeaderTimeout = 200 * time.Millisecond
			}
			newBench(t, nil).fails(b, &egress.Request{Method: "GET", URL: "/"}, egress.ClassTimeout, text)
		})
	}
}

// TestRequestBytes compares the bytes of requests with their only valid form: the path is not normalised, the form is
// not absolute, and the length is that of the body.
func TestRequestBytes(t *testing.T) {
	t.Parallel()
	heads := make(chan string, 1)
	s := raw(t, func(c net.Conn) {
		heads <- readHead(c)
		_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
	})
	b := blockOf(t, s)
	b.Inject = nil
	bench := newBench(t, nil)
	at := "example.com:" + itoa(int(b.Hosts[0].Port))
	bench.get(b, "http://EXAMPLE.com:"+itoa(int(b.Hosts[0].Port))+"/a%2Fb/c;d=%41?e=%2f&f")
	want := "GET /a%2Fb/c;d=%41?e=%2f&f HTTP/1.1\r\nHost: " + at +
		"\r\nUser-Agent: Hearth\r\nAccept-Encoding: gzip\r\n\r\n"
	if got := <-heads; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := bench.do(b, &egress.Request{Method: "POST", URL: "/"}); err != nil {
		t.Fatal(err)
	}
	want = "POST / HTTP/1.1\r\nHost: " + at +
		"\r\nUser-Agent: Hearth\r\nContent-Length: 0\r\nAccept-Encoding: gzip\r\n\r\n"
	if got := <-heads; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestInjectedLineBreak has a secret that would add a header.
func TestInjectedLineBreak(t *testing.T) {
	t.Parallel()
	s := raw(t, func(c net.Conn) { t.Errorf("sent %q", readHead(c)) })
	bench := newBench(t, nil)
	bench.secrets["key"] = secretValue + "\r\nX-Admin: true"
	bench.fails(blockOf(t, s), &egress.Request{Method: "GET", URL: "/"}, egress.ClassFailed, "line break")
}

// TestTLS has servers with another name, another authority, another public key and an old version of TLS.
func TestTLS(t *testing.T) {
	t.Parallel()
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	get := &egress.Request{Method: "GET", URL: "/"}
	t.Run("name", func(t *testing.T) {
		b := blockOf(t, s)
		b.Hosts[0].Name = "other.test"
		newBench(t, nil).fails(b, get, egress.ClassFailed, "not other.test; not sent")
	})
	t.Run("authority", func(t *testing.T) {
		b := blockOf(t, s)
		b.CA = ""
		newBench(t, nil).fails(b, get, egress.ClassFailed, "authority; not sent")
	})
	t.Run("pin", func(t *testing.T) {
		b := blockOf(t, s)
		b.Pins = [][32]byte{sha256.Sum256([]byte("another key"))}
		newBench(t, nil).fails(b, get, egress.ClassFailed, "in pin; not sent")
		b.Pins = append(b.Pins, sha256.Sum256(s.Certificate().RawSubjectPublicKeyInfo))
		newBench(t, nil).get(b, "/")
	})
	t.Run("version", func(t *testing.T) {
		old := httptest.NewUnstartedServer(http.NotFoundHandler())
		old.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11} //nolint:gosec // the attack
		old.Config.ErrorLog = discard()
		old.StartTLS()
		defer old.Close()
		newBench(t, nil).fails(blockOf(t, old), get, egress.ClassFailed, "version")
	})
	t.Run("files", func(t *testing.T) {
		b := blockOf(t, s)
		b.CA = filepath.Join(t.TempDir(), "missing.pem")
		bench := newBench(t, nil)
		bench.fails(b, get, egress.ClassFailed, "missing.pem")
		text, err := os.ReadFile(blockOf(t, s).CA)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(b.CA, text, 0o600); err != nil {
			t.Fatal(err)
		}
		bench.get(b, "/")
	})
}

// TestReset has a server of HTTP/2 that resets its stream, before and after its headers.
func TestReset(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/late" {
			fmt.Fprint(w, "beginning")
			_ = http.NewResponseController(w).Flush()
		}
		panic(http.ErrAbortHandler)
	})
	bench := newBench(t, nil)
	bench.fails(blockOf(t, s), &egress.Request{Method: "POST", URL: "/"}, egress.ClassFailed, "sent; executed: unknown")
	bench.fails(blockOf(t, s), &egress.Request{Method: "GET", URL: "/late"}, egress.ClassFailed, "has answered")
}

// TestEnvironment sets the variables of proxies. They must have no effect.
func TestEnvironment(t *testing.T) {
	proxy := raw(t, func(c net.Conn) { t.Errorf("the proxy got %q", readHead(c)) })
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"} {
		t.Setenv(name, "http://"+proxy.Listener.Addr().String())
	}
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	newBench(t, nil).get(blockOf(t, s), "/")
}

// TestUnsolicited has a server that sends a second response, with the credential in it, for the next request.
func TestUnsolicited(t *testing.T) {
	t.Parallel()
	s := raw(t, func(c net.Conn) {
		readHead(c)
		one := "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst"
		_, _ = io.WriteString(c, one+strings.ReplaceAll(one, "first", "other"))
		readHead(c)
	})
	bench := newBench(t, nil)
	b := blockOf(t, s)
	for range 3 {
		if resp := bench.get(b, "/"); resp.Body != "first" {
			t.Errorf("got %q", resp.Body)
		}
	}
}
