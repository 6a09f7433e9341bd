package host_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/wire"
)

// feeder is a connection to one of two hosts over a Unix socket. There the kernel reports whether the host has read all
// bytes: so each part of a message is read alone.
type feeder struct {
	path    string // of the socket
	connect []byte
	conn    *net.UnixConn
	in      *wire.Reader
	tick    *time.Ticker // polls whether bytes were read
}

// deadline bounds the time until a message is answered.
const deadline = time.Minute

// outcome is the effect of a message.
type outcome struct {
	Answers []wire.Message
	Open    bool // the host has not closed the connection
}

// open completes a new handshake.
func (f *feeder) open() error {
	f.close()
	nc, err := net.Dial("unix", f.path)
	if err != nil {
		return err
	}
	f.conn = nc.(*net.UnixConn)
	_ = nc.SetDeadline(time.Now().Add(deadline))
	f.in = wire.NewReader(nc, 64<<20)
	if _, err := nc.Write(f.connect); err != nil {
		return err
	}
	m, err := f.read()
	if err == nil && m.Type != wire.ConnectOK {
		err = errRefused
	}
	return err
}

// errRefused is the error of a connection whose CONNECT message is not accepted.
var errRefused = errors.New("the host refuses the CONNECT message")

func (f *feeder) close() {
	if f.conn != nil {
		f.conn.Close()
		f.conn = nil
	}
}

// read returns the next message, without the parts that differ between hosts.
func (f *feeder) read() (wire.Message, error) {
	var m wire.Message
	err := f.in.Read(&m)
	m.Payload = bytes.ReplaceAll(m.Payload, []byte(f.path), []byte("the host's address"))
	m.Corr, m.HasCorr = [16]byte{}, false
	return m, err
}

// write writes the parts of a message. It waits after each part until the host has read it.
func (f *feeder) write(parts [][]byte) error {
	raw, err := f.conn.SyscallConn()
	if err != nil {
		return err
	}
	for _, part := range parts {
		if _, err := f.conn.Write(part); err != nil {
			return err
		}
		for {
			unread := 0
			var failed error
			err := raw.Control(func(fd uintptr) { unread, failed = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
			if err = errors.Join(err, failed); err != nil {
				return err
			}
			if unread == 0 {
				break
			}
			<-f.tick.C
		}
	}
	return nil
}

// send sends a message in parts and returns its effect. A ping, which is answered after the message, shows that the
// connection is open. An incomplete message is followed by the end of the stream.
func (f *feeder) send(parts [][]byte, ping []byte) (out outcome, err error) {
	if f.conn == nil {
		if err := f.open(); err != nil {
			return out, err
		}
	}
	_ = f.conn.SetDeadline(time.Now().Add(deadline))
	if err := f.write(parts); err == nil {
		if ping != nil {
			_, _ = f.conn.Write(ping)
		} else {
			_ = f.conn.CloseWrite()
		}
	}
	for {
		m, err := f.read()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return out, errors.New("the host has neither answered nor closed the connection")
		case err != nil:
			f.close()
			return out, nil
		case m.Type == wire.Ping && m.Seq == pingSeq:
			out.Open = true
			return out, nil
		}
		out.Answers = append(out.Answers, m)
	}
}

// pingSeq is the sequence number of pings that end a message.
const pingSeq = 0xabcd

// following returns the ping that is sent after a message: nil after an incomplete one, which would contain it.
func following(t *testing.T, r recorded) []byte {
	t.Helper()
	protocol := wire.Pyro5
	if strings.HasPrefix(r.name, "pyro4") {
		protocol = wire.Pyro4
	}
	var p wire.Parser
	p.SetMax(64 << 20)
	var m wire.Message
	if _, need, _ := p.Parse(r.message, &m); need > 0 {
		return nil
	}
	b, err := wire.Append(nil, &wire.Message{Protocol: protocol, Type: wire.Ping, Seq: pingSeq})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var everyPartition = flag.Bool("every-partition", false, "test every partition of recorded messages, for 3 minutes")

// TestEveryPartition sends every recorded message of a client in partitions into two parts, and the short ones into
// three, to an event loop and to a goroutine. Each part is read alone. All have the same effect. Without the flag
// -every-partition it sends one in 13 of the partitions.
func TestEveryPartition(t *testing.T) {
	const (
		short = 40  // bytes of a message that is sent in three parts
		long  = 500 // bytes of one that is sent in few partitions: the host waits at the end of some
	)
	step := 13
	if *everyPartition {
		step = 1
	}
	looped, plain := startFeederHosts(t, func() string {
		dir, err := os.MkdirTemp("", "h") //nolint:usetesting // the paths of sockets must be short
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		// Answers contain the path. Both paths have one length, because serializers write the lengths of texts.
		name := strings.Repeat("s", len(os.TempDir())+24-len(dir))
		return fmt.Sprintf("listener \"socket\" { address = %q }\n", "unix:"+filepath.Join(dir, name))
	})
	var all []recorded
	known := map[string]bool{}
	for _, r := range recordedMessages(t) {
		if key := string(r.connect) + string(r.message); !known[key] {
			known[key] = true
			all = append(all, r)
		}
	}
	var next, sent atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			tick := time.NewTicker(20 * time.Microsecond)
			defer tick.Stop()
			feeders := map[string]*feeder{
				"loop":      {path: socketPath(looped), tick: tick},
				"goroutine": {path: socketPath(plain), tick: tick},
			}
			for {
				i := int(next.Add(1)) - 1
				if i >= len(all) || t.Failed() {
					break
				}
				r, ping := all[i], following(t, all[i])
				step := step
				if len(r.message) > long {
					step = 101 + len(r.message)/40
				}
				whole := &feeder{path: socketPath(plain), connect: r.connect, tick: tick}
				if errors.Is(whole.open(), errRefused) { // TestFeedersAgree compares the answers
					continue
				}
				want, err := whole.send([][]byte{r.message}, ping)
				whole.close()
				if err != nil {
					t.Errorf("%s: %v", r.name, err)
					continue
				}
				for name, f := range feeders {
					if !bytes.Equal(f.connect, r.connect) {
						f.close()
						f.connect = r.connect
					}
					check := func(lengths ...int) {
						if t.Failed() {
							return
						}
						got, err := f.send(partition(r.message, lengths...), ping)
						if diff := cmp.Diff(want, got); err != nil || diff != "" {
							t.Errorf("%s, %s: parts of %v bytes: %v\n%s", r.name, name, lengths, err, diff)
						}
						sent.Add(1)
					}
					check()
					for first := 1 + i%step; first < len(r.message); first += step {
						check(first)
						if len(r.message) > short {
							continue
						}
						for second := 1; second < len(r.message)-first; second += step {
							check(first, second)
						}
					}
				}
			}
			for _, f := range feeders {
				f.close()
			}
		})
	}
	wg.Wait()
	t.Logf("%d partitions of %d messages", sent.Load(), len(all))
}

// socketPath returns the path of a host's Unix socket.
func socketPath(h *host.Host) string { return strings.TrimPrefix(h.Addrs()[1], "unix:") }
