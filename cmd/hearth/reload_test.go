//go:build linux

package main_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	hearth "github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/transport/keyfile"
	"github.com/hearthhost/hearth/transport/signed"
)

// reloads is how many changes TestReloadsUnderLoad makes.
var reloads = flag.Int("reloads", 100, "changes that TestReloadsUnderLoad makes")

// underLoad is the policy of TestReloadsUnderLoad; the comment makes each another.
const underLoad = `# %d
listener "tcp" {
  address  = "127.0.0.1:0"
  identify = ["peer", "hmac"]
}
principal "me" { host_user = true }
principal "svc" { keys = ["svc.key"] }
tenant "demo" {
  plugin "table" {
    unpinned   = true
  }
}
permit "the tests may call" {
  principals = ["me", "svc"]
  objects    = ["demo.*"]
}
`

// TestReloadsUnderLoad changes a script, a module, a plugin, the policy and keys in random
// order under load from a real Pyro4 client and from our own over two channels. No call may
// fail or see two versions, and the host may hold nothing more afterwards: no descriptor,
// process or goroutine, and no more memory in the second half of the changes than in the first.
func TestReloadsUnderLoad(t *testing.T) {
	needPyro4(t)
	built := t.TempDir()
	buildPlugins(t, built)
	plugin, err := os.ReadFile(filepath.Join(built, "plugins", "demo", "table"))
	check(t, err)
	var h *liveHost
	key := func(id string) (keyfile.Key, string) {
		k, err := keyfile.New(id, time.Now())
		check(t, err)
		return k, fmt.Sprintf("hearth-key-1 %s %s %s\n", k.ID, base64.RawURLEncoding.EncodeToString(k.Secret[:]),
			k.Created.Format(time.RFC3339))
	}
	own, ours := key("ours")
	_, other := key("other")
	put := func(name, text string, mode os.FileMode) {
		t.Helper()
		path := filepath.Join(h.dir, name)
		check(t, os.WriteFile(path+".new", []byte(text), mode))
		check(t, os.Chmod(path+".new", mode))
		check(t, os.Rename(path+".new", path))
	}
	script := func(n int) string {
		return fmt.Sprintf(`local V = hearth.object { instance = "call" }
local n = %d
local twice = require "twice"
function V.expose:version() local first = n; for i = 1, 200 do end; return twice(first, n) end
return V
`, n)
	}
	h = startHostWith(t, fmt.Sprintf(underLoad, 0), func(dir string) {
		h = &liveHost{dir: dir}
		check(t, os.MkdirAll(filepath.Join(dir, "scripts/demo/lib"), 0o755))
		check(t, os.MkdirAll(filepath.Join(dir, "plugins/demo"), 0o755))
		put("scripts/demo/lib/twice.lua", "return function(a, b) return a, b end -- 0\n", 0o644)
		put("scripts/demo/v.lua", script(0), 0o644)
		put("plugins/demo/table", string(plugin), 0o755)
		put("svc.key", ours, 0o600)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 14*time.Minute)
	defer cancel()

	var over atomic.Bool
	var load sync.WaitGroup
	caller := func(cfg hearth.Config) *hearth.Client {
		cfg.Address = h.tcp
		c, err := hearth.New(cfg)
		check(t, err)
		t.Cleanup(func() { c.Close() })
		return c
	}
	version := func(c *hearth.Client) (int64, error) {
		got, err := c.Object("demo.v").Call(ctx, "version")
		pair, ok := got.(codec.Tuple)
		if err == nil && (!ok || len(pair) != 2 || pair[0] != pair[1]) {
			err = fmt.Errorf("one call ran on versions %v", got)
		}
		if err != nil {
			return 0, err
		}
		return pair[0].(int64), nil
	}
	c := caller(hearth.Config{})
	loaded := func(c *hearth.Client) {
		for last := int64(0); !over.Load() && !t.Failed(); {
			v, err := version(c)
			if err == nil && v < last {
				err = fmt.Errorf("version %d came after %d", v, last)
			}
			last = v
			if err == nil {
				_, err = c.Object("demo.table").Call(ctx, "keys")
			}
			if err != nil {
				t.Error(err)
			}
		}
	}
	load.Go(func() { loaded(c) })
	load.Go(func() { loaded(caller(hearth.Config{KeyID: own.ID, Key: signed.Key(own.Secret)})) })
	python := pyro(t, h, "load.py")
	var said bytes.Buffer
	python.Stdout, python.Stderr = &said, &said
	stop, err := python.StdinPipe()
	check(t, err)
	check(t, python.Start())

	count := func(text string) int { return strings.Count(h.log.String(), text) }
	logged := func(text string, change func()) {
		t.Helper()
		before := count(text)
		change()
		await(ctx, t, text, func() bool { return count(text) > before })
	}
	n := 0
	change := func(kind int) {
		n++
		switch {
		case kind < 14:
			put("scripts/demo/v.lua", script(n), 0o644)
			await(ctx, t, "version "+strconv.Itoa(n), func() bool {
				v, err := version(c)
				if err != nil {
					t.Error(err)
				}
				return v == int64(n)
			})
		case kind < 17:
			logged("object changed", func() {
				put("scripts/demo/lib/twice.lua", fmt.Sprintf("return function(a, b) return a, b end -- %d\n", n),
					0o644)
			})
		case kind < 18:
			logged("plugin changed", func() { put("plugins/demo/table", string(plugin)+strconv.Itoa(n), 0o755) })
		case kind < 19:
			logged("policy changed", func() { put("policy.hcl", fmt.Sprintf(underLoad, n), 0o644) })
		default:
			logged("identities were read again", func() {
				put("svc.key", ours+[]string{"", other}[n%2]+"# "+strconv.Itoa(n)+"\n", 0o600)
			})
		}
	}
	for _, kind := range []int{0, 14, 17, 18, 19} { // each once, before anything is counted
		change(kind)
	}
	await(ctx, t, "two workers wait", func() bool { return h.holds(t).children == 4 }) // beside demo's and its plugin
	before := h.holds(t)
	random := rand.New(rand.NewPCG(1, 2))
	var memory [2]lowest // of the first and the second half
	for i := range *reloads {
		if change(random.IntN(20)); t.Failed() {
			break
		}
		memory[2*i / *reloads].look(h.holds(t))
	}
	over.Store(true)
	load.Wait()
	check(t, stop.Close())
	if err := python.Wait(); err != nil {
		t.Errorf("testdata/pyro/load.py: %v\n%s", err, said.String())
	}
	t.Logf("%d changes; the Pyro4 client made %s calls", n, strings.TrimSpace(said.String()))
	await(ctx, t, "the host holds no more than before", func() bool {
		after := h.holds(t)
		return after.files <= before.files+2 && after.children == before.children &&
			after.goroutines <= before.goroutines+2
	})
	if t.Failed() {
		t.Logf("before %+v, after %+v", before, h.holds(t))
		return
	}
	// The minimum of both halves of the changes must be equal, except for garbage. A heap may double before it is
	// collected.
	t.Logf("the least of each half of the changes: %+v", memory)
	was, is := memory[0], memory[1]
	if is.heap > was.heap+was.heap/4+1<<20 {
		t.Errorf("the host's heap grows with each change: %d bytes at the least, then %d", was.heap, is.heap)
	}
	if is.worker > was.worker+was.worker/4+16<<20 {
		t.Errorf("the tenant's worker grows with each change: %d bytes at the least, then %d", was.worker, is.worker)
	}
}

// held holds the resources of a host.
type held struct {
	files, children, goroutines int
	heap                        int // bytes that its last garbage collection found in use
	worker                      int // bytes of memory of the tenant demo's worker
}

func (h *liveHost) holds(t *testing.T) held {
	t.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", h.pid))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	all := h.metrics(t)
	worker := regexp.MustCompile(`msg="worker started" tenant=demo pid=(\d+)`).FindStringSubmatch(h.log.String())
	if worker == nil {
		t.Fatal("the log does not name the process of the worker")
	}
	text, err := os.ReadFile("/proc/" + worker[1] + "/statm")
	check(t, err) // the one that was started first works to the end
	resident, err := strconv.Atoi(strings.Fields(string(text))[1])
	check(t, err)
	return held{len(files), len(children(t, h.pid)), all["go_goroutines"], all["go_gc_heap_live_bytes"],
		resident * os.Getpagesize()}
}

// metrics returns the host's metrics, without those that are not integers.
func (h *liveHost) metrics(t *testing.T) map[string]int {
	t.Helper()
	socket := &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(h.dir, "state", "admin.sock"))
		}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://hearth/metrics", nil)
	check(t, err)
	answer, err := socket.RoundTrip(req)
	check(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	check(t, err)
	all := map[string]int{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
			if n, err := strconv.Atoi(value); err == nil {
				all[name] = n
			}
		}
	}
	return all
}

// lowest is the least memory that was held, of several looks.
type lowest struct{ heap, worker int }

func (l *lowest) look(now held) {
	if l.heap == 0 || now.heap < l.heap {
		l.heap = now.heap
	}
	if l.worker == 0 || now.worker < l.worker {
		l.worker = now.worker
	}
}
