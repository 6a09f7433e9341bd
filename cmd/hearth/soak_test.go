//go:build linux

package main_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	hearth "github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/transport/keyfile"
	"github.com/hearthhost/hearth/transport/signed"
	"github.com/hearthhost/hearth/wire"
)

// soak is the duration of the load of TestSoak. Its check of growth needs some minutes; a short run still checks the
// reply of every call.
var soak = flag.Duration("soak", 4*time.Second, "how long TestSoak makes its load")

// soakPolicy is the policy of TestSoak; the comment makes each another.
const soakPolicy = `# %d
listener "tls" {
  address  = "127.0.0.1:0"
  identify = ["cert"]
  tls {
    cert      = "host.pem"
    key       = "host.key"
    client_ca = "ca.pem"
  }
}
listener "tcp" {
  address  = "127.0.0.1:0"
  identify = ["peer", "hmac"]
}
principal "me" { host_user = true }
principal "svc" {
  keys = ["svc.key"]
  cert { common_name = "svccert" }
}
tenant "demo" {
  limits { max_duration = "30s" }
  plugin "table" { unpinned = true }
}
tenant "bulk" {
  limits {
    max_duration = "30s"
    arguments = "12MiB"
    result    = "12MiB"
  }
}
tenant "hostile0" {}
permit "the tests may call" {
  principals = ["me", "svc"]
  objects    = ["demo.*", "bulk.*", "hostile0.*"]
}
audit { keep = 1 }
`

const soakCounter = `local C = hearth.object { instance = "session" }
function C:init() self.n = 0 end
function C.oneway:add(k) self.n = self.n + k end
function C.expose:total() return self.n end
function C.expose:count(n)
  local i = 0
  return hearth.stream(function() i = i + 1; if i <= n then return i end end)
end
return C
`

// TestSoak mixes loads against the real binary for a time: calls, batches, streams, oneway
// calls and megabytes of ours and of a real Pyro4 client, connections that come and go over
// three channels, a plugin, changes of scripts, modules, keys and the policy, and the hostile
// scripts one after another. Each good call must be answered rightly and each hostile one be
// stopped, and memory, descriptors, processes and goroutines may not grow.
func TestSoak(t *testing.T) {
	s := startSoak(t)
	s.calls()
	s.python()
	s.connections()
	s.changes()
	s.hostile()
	still := s.stoodStill()
	samples := s.watch()
	s.over.Store(true)
	s.load.Wait()
	for name, n := range s.counts.all() {
		if n == 0 {
			t.Errorf("no %s was made: this was no mixed load", name)
		}
	}
	// On a machine that stops for a while the host gives up on handshakes and logs that.
	if late, said := int(s.late.Load()), strings.Count(s.h.log.String(), "i/o timeout"); late > said {
		t.Errorf("%d connections failed, %d of them by a time limit", late, said)
	}
	t.Log(table(samples))
	if d := <-still; d > 2*time.Second {
		t.Logf("THE MACHINE STOOD STILL for %s: failures by a time limit are then no fault of the host",
			d.Round(time.Second))
	}
	if d := grown(samples); d != "" {
		t.Errorf("%s", d)
	}
}

// soaked is a host under load.
type soaked struct {
	t      *testing.T
	h      *liveHost
	ctx    context.Context // of all calls
	load   sync.WaitGroup
	over   atomic.Bool
	counts tally
	late   atomic.Int64 // failed connections
	key    keyfile.Key
	ours   string // the key's line
	plugin []byte
}

// tally counts operations by name.
type tally struct {
	mu sync.Mutex // guards n
	n  map[string]int
}

func (c *tally) add(name string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[name] += n
}

func (c *tally) all() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.n)
}

func startSoak(t *testing.T) *soaked {
	t.Helper()
	built := t.TempDir()
	buildPlugins(t, built)
	s := &soaked{t: t, counts: tally{n: map[string]int{}}}
	var err error
	s.plugin, err = os.ReadFile(filepath.Join(built, "plugins", "demo", "table"))
	check(t, err)
	s.key, err = keyfile.New("ours", time.Now())
	check(t, err)
	s.ours = fmt.Sprintf("hearth-key-1 %s %s %s\n", s.key.ID, base64.RawURLEncoding.EncodeToString(s.key.Secret[:]),
		s.key.Created.Format(time.RFC3339))
	s.h = startHostWith(t, fmt.Sprintf(soakPolicy, 0), func(dir string) {
		s.h = &liveHost{dir: dir}
		for _, folder := range []string{"scripts/demo/lib", "scripts/bulk", "scripts/hostile0", "plugins/demo"} {
			check(t, os.MkdirAll(filepath.Join(dir, folder), 0o755))
		}
		ca := newAuthority(t, dir, "ca")
		ca.issue("host", forServer)
		ca.issue("svccert", nil)
		for _, one := range hostileScripts(t) {
			if one.single() {
				s.put("scripts/hostile0/"+one.name+".lua", string(one.text), 0o644)
			}
		}
		s.put("scripts/demo/lib/twice.lua", "return function(a, b) return a, b end\n", 0o644)
		s.put("scripts/demo/v.lua", versionScript(0), 0o644)
		s.put("scripts/demo/soak.lua", soakCounter, 0o644)
		s.put("scripts/bulk/e.lua", echoing, 0o644)
		s.put("plugins/demo/table", string(s.plugin), 0o755)
		s.put("svc.key", s.ours, 0o600)
	})
	var cancel context.CancelFunc
	s.ctx, cancel = context.WithTimeout(t.Context(), *soak+5*time.Minute)
	t.Cleanup(cancel)
	return s
}

// put makes a file of the host, whole at once.
func (s *soaked) put(name, text string, mode os.FileMode) {
	aside := filepath.Join(s.h.dir, "aside") // in no folder that the host looks at
	if err := errors.Join(os.WriteFile(aside, []byte(text), mode), os.Chmod(aside, mode),
		os.Rename(aside, filepath.Join(s.h.dir, name))); err != nil {
		s.t.Error(err)
	}
}

// versionScript is an object that returns its version twice.
func versionScript(n int) string {
	return fmt.Sprintf(`local V = hearth.object { instance = "call" }
local n = %d
local twice = require "twice"
function V.expose:version() local first = n; for i = 1, 200 do end; return twice(first, n) end
return V
`, n)
}

// again does something again and again, n counting up, until the load ends or it fails.
func (s *soaked) again(name string, do func(n int) error) {
	s.counts.add(name, 0)
	s.load.Go(func() {
		for n := 0; !s.over.Load(); n++ {
			if err := do(n); err != nil {
				s.t.Errorf("%s, the %dth: %v", name, n+1, err)
				return
			}
			s.counts.add(name, 1)
		}
	})
}

func (s *soaked) client(cfg hearth.Config) *hearth.Client {
	if cfg.Address == "" {
		cfg.Address = s.h.tcp
	}
	c, err := hearth.New(cfg)
	check(s.t, err)
	s.t.Cleanup(func() { c.Close() })
	return c
}

// checkReply returns the error of a wrong reply, nil for the expected one.
func checkReply(wanted, got any, err error) error {
	if err == nil && got != wanted {
		return fmt.Errorf("the answer is %.100v, not %.100v", got, wanted)
	}
	return err
}

// calls makes the calls of our client.
func (s *soaked) calls() {
	c := s.client(hearth.Config{})
	s.again("calls", func(n int) error {
		got, err := c.Object("demo.echo").Call(s.ctx, "echo", n)
		return checkReply(int64(n), got, err)
	})
	s.again("batches", func(n int) error {
		b := c.Object("demo.echo").Batch()
		for i := range 16 {
			b.Add("echo", []any{n + i}, nil)
		}
		results, err := b.Run(s.ctx)
		for i, r := range results {
			err = errors.Join(err, checkReply(int64(n+i), r.Value, r.Err))
		}
		if err == nil && len(results) != 16 {
			err = fmt.Errorf("%d results of 16", len(results))
		}
		return err
	})
	s.again("streams", func(int) error {
		sum := int64(0)
		for v, err := range c.Object("demo.soak").Stream(s.ctx, "count", 20) {
			if err != nil {
				return err
			}
			sum += v.(int64)
		}
		return checkReply(int64(210), sum, nil)
	})
	s.again("oneway calls", func(int) error {
		session, err := c.Session(s.ctx)
		if err != nil {
			return err
		}
		defer session.Close()
		o := session.Object("demo.soak")
		for range 10 {
			if err := o.Oneway(s.ctx, "add", 3); err != nil {
				return err
			}
		}
		// They run in parallel to the connection, in no guaranteed order.
		for {
			got, err := o.Call(s.ctx, "total")
			if err != nil || got == int64(30) {
				return err
			}
		}
	})
	big := s.client(hearth.Config{Serializer: "msgpack", MaxMessageBytes: 16 << 20})
	random := rand.New(rand.NewPCG(1, 2))
	s.again("large messages", func(n int) error {
		blob := bytes.Repeat([]byte{byte(n), byte(n >> 8), 'x'}, 1+random.IntN(11<<20)/3)
		got, err := big.Object("bulk.e").Call(s.ctx, "echo", blob)
		if b, ok := got.([]byte); err == nil && (!ok || !bytes.Equal(b, blob)) {
			err = fmt.Errorf("%d bytes came back as other", len(blob))
		}
		return err
	})
	s.again("calls of a plugin", func(int) error {
		_, err := c.Object("demo.table").Call(s.ctx, "keys")
		return err
	})
	last := int64(0)
	s.again("calls of a changing object", func(int) error {
		got, err := c.Object("demo.v").Call(s.ctx, "version")
		pair, ok := got.(codec.Tuple)
		if err == nil && (!ok || len(pair) != 2 || pair[0] != pair[1] || pair[0].(int64) < last) {
			err = fmt.Errorf("versions %v after %d", got, last)
		}
		if err == nil {
			last = pair[0].(int64)
		}
		return err
	})
}

// connections makes connections that come, call once and go.
func (s *soaked) connections() {
	once := func(cfg hearth.Config) func(n int) error {
		return func(n int) error {
			c, err := hearth.New(cfg)
			if err != nil {
				return err
			}
			defer c.Close()
			got, err := c.Object("demo.echo").Call(s.ctx, "echo", n)
			if err != nil && strings.Contains(err.Error(), "connecting to") {
				s.late.Add(1)
				return nil
			}
			return checkReply(int64(n), got, err)
		}
	}
	s.again("plain connections", once(hearth.Config{Address: s.h.tcp, Protocol: wire.Pyro4}))
	s.again("HMAC connections", once(hearth.Config{Address: s.h.tcp, KeyID: s.key.ID, Key: signed.Key(s.key.Secret)}))
	text, err := json.Marshal(hearth.Profile{Address: s.h.ports[0], Channel: "tls", CA: "ca.pem", Cert: "svccert.pem",
		CertKey: "svccert.key"})
	check(s.t, err)
	path := filepath.Join(s.h.dir, "profile.json")
	check(s.t, os.WriteFile(path, text, 0o600))
	profile, err := hearth.LoadProfile(path)
	check(s.t, err)
	var cfg hearth.Config
	check(s.t, profile.Apply(&cfg))
	s.again("TLS connections", once(cfg))
}

// python makes the calls of a real Pyro4 client, where there is one.
func (s *soaked) python() {
	if err := noPyro4(s.t); err != nil {
		s.t.Logf("SKIPPED: there is no real Pyro4 client among the load: %v", err)
		return
	}
	client := pyro(s.t, s.h, "load.py")
	var said lockedBuffer
	client.Stdout, client.Stderr = &said, &said
	stop, err := client.StdinPipe()
	check(s.t, err)
	check(s.t, client.Start())
	s.load.Go(func() {
		<-s.ended()
		stop.Close()
		if err := client.Wait(); err != nil {
			s.t.Errorf("testdata/pyro/load.py: %v\n%s", err, said.String())
		}
		s.t.Logf("the Pyro4 client made %s calls", strings.TrimSpace(said.String()))
	})
}

// ended is closed once the load ends.
func (s *soaked) ended() <-chan struct{} {
	ch := make(chan struct{})
	go func() {
		defer close(ch)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for !s.over.Load() && s.ctx.Err() == nil {
			<-tick.C
		}
	}()
	return ch
}

// stoodStill returns the longest time in which this program did not run.
func (s *soaked) stoodStill() <-chan time.Duration {
	ended, longest := s.ended(), make(chan time.Duration, 1)
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		most, last := time.Duration(0), time.Now()
		for {
			select {
			case <-ended:
				longest <- most
				return
			case <-tick.C:
				most = max(most, time.Since(last))
				last = time.Now()
			}
		}
	}()
	return longest
}

// changes changes files of the host a few times a second.
func (s *soaked) changes() {
	random := rand.New(rand.NewPCG(3, 4))
	tick := time.NewTicker(200 * time.Millisecond)
	s.t.Cleanup(tick.Stop)
	s.again("changes", func(n int) error {
		<-tick.C
		switch kind := random.IntN(20); {
		case kind < 13:
			s.put("scripts/demo/v.lua", versionScript(n+1), 0o644)
		case kind < 16:
			s.put("scripts/demo/lib/twice.lua", fmt.Sprintf("return function(a, b) return a, b end -- %d\n", n), 0o644)
		case kind < 17:
			s.put("scripts/demo/passing.lua", "this is no Lua", 0o644) // rejected, and the other objects are served
		case kind < 18:
			s.put("policy.hcl", fmt.Sprintf(soakPolicy, n+1), 0o644)
		case kind < 19:
			s.put("svc.key", s.ours+"# "+fmt.Sprint(n)+"\n", 0o600)
		default:
			s.put("plugins/demo/table", string(s.plugin)+fmt.Sprint(n), 0o755)
		}
		return nil
	})
}

// hostile calls the hostile scripts that are one call, one after another, and the neighbour
// after each.
func (s *soaked) hostile() {
	all := slices.DeleteFunc(hostileScripts(s.t), func(one *hostileScript) bool { return !one.single() })
	rand.New(rand.NewPCG(5, 6)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	clients := map[string]*hearth.Client{"me": s.client(hearth.Config{})}
	s.again("hostile scripts", func(n int) error {
		a := &attack{t: s.t, h: s.h, uid: os.Getuid(), clients: clients, script: all[n%len(all)], tenant: "hostile0",
			busy: true}
		a.run()
		a.neighbour(s.ctx)
		return nil
	})
}
