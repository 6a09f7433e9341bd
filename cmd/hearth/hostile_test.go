//go:build linux

package main_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	hearth "github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/object"
)

const (
	hostileTenants = 4         // each has a worker of its own and attacks one script after another
	hostileGrowth  = 256 << 10 // KiB by which the host's own process may grow over the corpus
)

// TestHostile serves the scripts in testdata/hostile, calls the method attack of each and
// wants what its first line expects, while a neighbour tenant answers as ever and no script
// ends its worker. The line is
//
//	-- expect: result TEXT   the call returns a value that prints as TEXT
//	-- expect: error ~"RE"   the call, or loading the script for it, fails with such a message
func TestHostile(t *testing.T) {
	hostile(t, os.Getuid())
}

// TestHostileToAnOrdinaryUser is TestHostile for a host that is not root.
func TestHostileToAnOrdinaryUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("TestHostile is run by an ordinary user already")
	}
	hostile(t, 65534)
}

func hostile(t *testing.T, uid int) {
	t.Helper()
	files, err := filepath.Glob("testdata/hostile/*.lua")
	check(t, err)
	policy := fmt.Sprintf("scripts = \"scripts\"\nlistener \"tcp\" {\n  address  = \"127.0.0.1:0\"\n  identify = [\"peer\"]\n}\nprincipal \"me\" { uid = %d }\ntenant \"demo\" {}\n", os.Getuid())
	objects := `"demo.*"`
	for i := range hostileTenants {
		policy += fmt.Sprintf("tenant \"hostile%d\" {}\n", i)
		objects += fmt.Sprintf(`, "hostile%d.*"`, i)
	}
	policy += "permit \"all\" {\n  principals = [\"me\"]\n  objects    = [" + objects + "]\n}\n"
	h := startHostAs(t, uid, policy, func(dir string) {
		for i, file := range files {
			text, err := os.ReadFile(file)
			check(t, err)
			folder := filepath.Join(dir, "scripts", fmt.Sprintf("hostile%d", i%hostileTenants))
			check(t, os.MkdirAll(folder, 0o755))
			check(t, os.WriteFile(filepath.Join(folder, filepath.Base(file)), text, 0o644))
		}
	})
	before := residentKiB(t, h.pid)
	var all sync.WaitGroup
	for lane := range hostileTenants {
		all.Go(func() {
			c, err := hearth.New(hearth.Config{Address: h.tcp})
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			for i := lane; i < len(files); i += hostileTenants {
				attackOnce(t, c, fmt.Sprintf("hostile%d", lane), files[i], false)
			}
		})
	}
	all.Wait()
	if grown := residentKiB(t, h.pid) - before; grown > hostileGrowth {
		t.Errorf("the host grew by %d KiB, want at most %d", grown, hostileGrowth)
	}
}

// attackOnce makes the script's call and then one to the neighbour. Where the machine is busy
// beyond measure, time may end a call before the limit that is meant to.
func attackOnce(t *testing.T, c *hearth.Client, tenant, file string, busy bool) {
	t.Helper()
	name := strings.TrimSuffix(filepath.Base(file), ".lua")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
		return
	}
	first, _, _ := strings.Cut(string(text), "\n")
	// The bound tells a call that hangs from one that a limit ends.
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	got, err := c.Object(object.ID(tenant+"."+name)).Call(ctx, "attack")
	if ctx.Err() != nil {
		t.Errorf("%s: the call hangs", name)
	} else if err != nil && strings.Contains(err.Error(), "worker") {
		t.Errorf("%s ended its tenant's worker: %v", name, err)
	} else if busy && err != nil && strings.Contains(err.Error(), "of wall time") {
		t.Logf("%s: time ended it", name)
	} else if want, ok := strings.CutPrefix(first, "-- expect: result "); ok {
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("%s: attack = %.200v, %.200v; want %s", name, got, err, want)
		}
	} else if want, ok := strings.CutPrefix(first, "-- expect: error ~"); ok {
		re, bad := strconv.Unquote(want)
		if bad != nil || err == nil || !regexp.MustCompile(re).MatchString(err.Error()) {
			t.Errorf("%s: attack = %.200v, %.300v; want an error like %s", name, got, err, want)
		}
	} else {
		t.Errorf("%s: no expectation on the first line: %s", name, first)
	}
	near, done := context.WithTimeout(t.Context(), 30*time.Second)
	defer done()
	if got, err := c.Object("demo.echo").Call(near, "echo", name); err != nil || got != name {
		t.Errorf("after %s the neighbour answers %v, %v", name, got, err)
	}
}
