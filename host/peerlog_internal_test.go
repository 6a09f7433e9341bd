package host

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hearthhost/hearth/gateway/pyro"
	"github.com/hearthhost/hearth/internal/peerlog"
)

// safeBuffer is a buffer that is safe for concurrent use.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestLogFlood checks that refused connections of unknown peers cause a bounded number of log lines per second.
func TestLogFlood(t *testing.T) {
	var log safeBuffer
	setLog := func(h *Host) {
		cfg := h.pyroConfig()
		cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
		h.pyro = pyro.NewServer(cfg)
	}
	h, _ := sharingHost(t, sharesPolicy, setLog, answerOne)
	begun := time.Now()
	const connections = 20 * peerlog.MaxLines
	// The length of the key id is zero, which is invalid. The text is longer than a greeting.
	const greeting = "HRTHMAC1\x00 is no key's name and ends here, after more than the channel's greeting has"
	for range connections {
		nc, err := net.Dial("tcp", h.listeners[0].Addr())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := nc.Write([]byte(greeting)); err != nil {
			t.Fatal(err)
		}
		_, _ = nc.Read(make([]byte, 100)) // until it is closed
		nc.Close()
	}
	most := peerlog.MaxLines * (2 + int(time.Since(begun)/time.Second))
	if connections > most { // a slow machine may have logged a line for each
		eventually(t, "the dropped lines are reported", func() bool {
			return strings.Contains(log.String(), "lines about a peer were dropped")
		})
	}
	if n := strings.Count(log.String(), "connection refused"); n < peerlog.MaxLines || n > most {
		t.Errorf("%d connections made %d lines, want %d to %d", connections, n, peerlog.MaxLines, most)
	}
}
