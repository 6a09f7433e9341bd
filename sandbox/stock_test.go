package sandbox_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox"
)

// stockScripts are the VM's own test scripts, which come with its module, and how many
// lines of each are about what scripts here have: the next one uses loadstring, getfenv or
// the like. 0: all of them.
var stockScripts = map[string]int{
	"_glua-tests/coroutine.lua": 0, "_glua-tests/math.lua": 0, "_glua-tests/vm.lua": 83,
	"_lua5.1-tests/sort.lua": 0, "_lua5.1-tests/strings.lua": 142, "_lua5.1-tests/pm.lua": 160, "_lua5.1-tests/closure.lua": 165,
	"_lua5.1-tests/calls.lua": 71, "_lua5.1-tests/constructs.lua": 152, "_lua5.1-tests/math.lua": 104,
	"_lua5.1-tests/nextvar.lua": 173, "_lua5.1-tests/vararg.lua": 100,
}

// TestStockScripts runs the VM's own tests under our libraries and meter: what is left of
// Lua 5.1 behaves as it did.
func TestStockScripts(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/yuin/gopher-lua").Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		t.Skipf("SKIPPED: where the VM's own tests are cannot be told: %v", err)
	}
	for name, lines := range stockScripts {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if lines > 0 {
				all := strings.SplitAfter(string(text), "\n")
				text = []byte(strings.Join(all[:lines], ""))
			}
			_, err = sandbox.Load(t.Context(), sandbox.Config{
				ID: "acme.thing", Env: &env{}, Source: []byte("require 'script'\nreturn hearth.object {}"),
				Libs:   map[string][]byte{"script": text},
				Limits: object.Limits{SourceBytes: 1 << 20, Steps: 2_000_000_000, Wall: time.Minute},
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}
