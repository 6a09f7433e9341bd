//go:build linux

package main_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	hearth "github.com/hearthhost/hearth/client"
)

const (
	hostileTenants = 4         // each has a separate worker and runs one script after another
	hostileGrowth  = 256 << 10 // KiB by which the host's process may grow over the corpus
)

// hostileOnly selects scripts of the corpus: go test -run TestHostile -args -hostile 'sort_*'.
var hostileOnly = flag.String("hostile", "*", "pattern of the names of the scripts that TestHostile runs")

// TestHostile serves the scripts in testdata/hostile, makes the calls of their first lines (see [hostileStep]) and
// checks the expected results. Meanwhile another tenant must answer, no script may end its worker, and none may forge a
// line of the log.
func TestHostile(t *testing.T) {
	hostile(t, os.Getuid())
}

// TestHostileToAnOrdinaryUser is TestHostile for a host that is not root. With the race detector TestHostile runs the
// same code, and the whole corpus twice takes minutes: make test runs this one without it.
func TestHostileToAnOrdinaryUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("TestHostile is run by an ordinary user already")
	}
	if raceEnabled {
		t.Skip("runs without the race detector only")
	}
	hostile(t, 65534)
}

// hostileHost is a host that serves the corpus, with a client for each principal of the steps.
type hostileHost struct {
	*liveHost
	uid     int // of the user that runs the host
	scripts []*hostileScript
	clients map[string]*hearth.Client
}

func startHostile(t testing.TB, uid int) *hostileHost {
	t.Helper()
	scripts := hostileScripts(t)
	keys := t.TempDir()
	policy := fmt.Sprintf(`
scripts = "scripts"
state   = "state"
listener "tcp" {
  address  = "127.0.0.1:0"
  identify = ["peer", "hmac"]
}
principal "me"    { uid = %d }
principal "alice" { keys = ["alice.key"] }
principal "bob"   { keys = ["bob.key"] }
tenant "demo" {}
tenant "foreign" {}
`, os.Getuid())
	objects := `"demo.*", "foreign.*"`
	for i := range hostileTenants {
		policy += fmt.Sprintf("tenant \"hostile%d\" {}\n", i)
		objects += fmt.Sprintf(`, "hostile%d.*"`, i)
		for _, s := range scripts {
			if !strings.HasPrefix(s.name, "reach_") { // these may call their own twin, and themselves
				continue
			}
			id := fmt.Sprintf("hostile%d.%s", i, s.name)
			policy += fmt.Sprintf("permit %q {\n  principals = [%q, %q]\n  objects = [%q, %q]\n}\n",
				id, "object:"+id, "object:"+id+"_twin", id, id+"_twin")
		}
	}
	policy += "permit \"all\" {\n  principals = [\"me\", \"alice\", \"bob\"]\n  objects    = [" + objects + "]\n}\n"
	h := startHostAs(t, uid, policy, func(dir string) {
		for i, s := range scripts {
			s.write(t, dir, fmt.Sprintf("hostile%d", i%hostileTenants))
		}
		for _, who := range []string{"alice", "bob"} {
			writeKeys(t, filepath.Join(keys, who+".key"), who+"-1")
			text, err := os.ReadFile(filepath.Join(keys, who+".key"))
			check(t, err)
			check(t, os.WriteFile(filepath.Join(dir, who+".key"), text, 0o600))
		}
	})
	clients := map[string]*hearth.Client{}
	for who, p := range map[string]hearth.Profile{
		"me":    {Channel: "plain"},
		"alice": {Channel: "hmac", Key: filepath.Join(keys, "alice.key")},
		"bob":   {Channel: "hmac", Key: filepath.Join(keys, "bob.key")},

		"packed": {Channel: "plain"},
	} {
		p.Address = h.tcp
		var cfg hearth.Config
		check(t, p.Apply(&cfg))
		if who == "packed" {
			cfg.Serializer, cfg.Compress = "msgpack", true
		}
		c, err := hearth.New(cfg)
		check(t, err)
		t.Cleanup(func() { c.Close() })
		clients[who] = c
	}
	return &hostileHost{h, uid, scripts, clients}
}

// attack returns the attack of script i, in the tenant that holds it.
func (h *hostileHost) attack(t testing.TB, i int) *attack {
	return &attack{t: t, h: h.liveHost, uid: h.uid, clients: h.clients, script: h.scripts[i],
		tenant: fmt.Sprintf("hostile%d", i%hostileTenants)}
}

func hostile(t *testing.T, uid int) {
	t.Helper()
	h := startHostile(t, uid)
	before := residentKiB(t, h.pid)
	var all sync.WaitGroup
	for lane := range hostileTenants {
		all.Go(func() {
			for i := lane; i < len(h.scripts); i += hostileTenants {
				a := h.attack(t, i)
				a.run()
				near, done := context.WithTimeout(t.Context(), time.Minute)
				a.neighbour(near)
				done()
			}
		})
	}
	all.Wait()
	if grown := residentKiB(t, h.pid) - before; grown > hostileGrowth {
		t.Errorf("the host grew by %d KiB, want at most %d", grown, hostileGrowth)
	}
	log := h.log.String()
	if i := strings.IndexFunc(log, func(r rune) bool {
		return r < ' ' && r != '\n' || r == 0x7f ||
			r == 0x202e
	}); i >= 0 {
		t.Errorf("the log holds %q", log[max(0, i-40):min(len(log), i+40)])
	}
	for line := range strings.Lines(log) {
		if strings.Contains(line, `msg="worker ended"`) {
			t.Errorf("a worker ended: %s", line)
		}
		if !strings.HasPrefix(line, "time=") && !strings.HasPrefix(line, "serving under ") &&
			!strings.HasPrefix(line, "listening on ") {
			t.Errorf("a line of the log is forged: %.200s", line)
		}
	}
}

// hostileScript is one script of the corpus.
type hostileScript struct {
	name  string
	text  []byte
	steps []hostileStep
}

// single reports whether one call by me is all of it, which can be made again and again.
func (s *hostileScript) single() bool {
	return len(s.steps) == 1 && s.steps[0].verb == "call" && s.steps[0].who == "me"
}

func hostileScripts(t testing.TB) (all []*hostileScript) {
	t.Helper()
	files, err := filepath.Glob("testdata/hostile/" + *hostileOnly + ".lua")
	check(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		check(t, err)
		s := &hostileScript{name: strings.TrimSuffix(filepath.Base(file), ".lua"), text: text}
		if s.steps, err = parseSteps(string(text)); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, s)
	}
	return all
}

// write puts the script in the folder of its tenant, its twin beside it, and another into
// the foreign tenant's; with them goes a module that all may require.
func (s *hostileScript) write(t testing.TB, dir, tenant string) {
	t.Helper()
	lib, err := os.ReadFile("testdata/hostile/lib/shared.lua")
	check(t, err)
	for path, text := range map[string][]byte{
		filepath.Join(tenant, s.name+".lua"):      s.text,
		filepath.Join(tenant, s.name+"_twin.lua"): s.text,
		filepath.Join("foreign", s.name+".lua"):   s.text,
		filepath.Join(tenant, "lib/shared.lua"):   lib,
		filepath.Join("foreign/lib/shared.lua"):   lib,
	} {
		path = filepath.Join(dir, "scripts", path)
		check(t, os.MkdirAll(filepath.Dir(path), 0o755))
		check(t, os.WriteFile(path, bytes.Clone(text), 0o644))
	}
}
