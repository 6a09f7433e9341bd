package host_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/object"
)

// pair is a model object's result: the versions of its script and of its module.
type pair struct{ script, lib int }

// file is the content of a model's file: a version, 0 for no file, negative for a bad script.
type file int

// TestReloadModel changes two objects and a module at random, and compares their results with a model after each step.
// A good version serves with the current module. After a bad one the old version stays. A removed object is unknown.
// One call reads the version twice and must get the same one.
func TestReloadModel(t *testing.T) {
	l := liveHost(t, everything)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	ids := []string{"a", "b"}
	files := map[string]file{}
	serving := map[string]pair{}
	lib := file(1)
	put := func(name, text string, f file) {
		if f < 0 {
			text += "\nthis is not Lua"
		}
		l.put("scripts/acme/"+name+".lua", text)
	}
	putLib := func() { put("lib/m", fmt.Sprintf("return %d", lib), lib) }
	putLib()
	n := 1
	step := func() string {
		n++
		f := file(n)
		if random.IntN(3) == 0 {
			f = -f
		}
		switch choice := random.IntN(8); {
		case choice < 2:
			lib = f
			putLib()
			return fmt.Sprintf("module %d", f)
		case choice < 3:
			id := ids[random.IntN(2)]
			files[id] = 0
			if err := os.Remove(filepath.Join(l.dir, "scripts/acme", id+".lua")); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			return "remove " + id
		default:
			id := ids[random.IntN(2)]
			files[id] = f
			put(id, fmt.Sprintf(`local M, lib = hearth.object { instance = "call" }, require "m"
function M.expose:pair() local s, l = %[1]d, lib; for i = 1, 1000 do end; return { { s, l }, { %[1]d, lib } } end
return M`, f), f)
			return fmt.Sprintf("%s %d", id, f)
		}
	}
	for range 40 {
		change := step()
		l.reload()
		for _, id := range ids {
			switch f := files[id]; {
			case f == 0:
				delete(serving, id)
			case f > 0 && lib > 0:
				serving[id] = pair{int(f), int(lib)}
			}
			want, served := serving[id]
			got, err := l.c.Object(object.ID("acme."+id)).Call(t.Context(), "pair")
			if !served {
				wantRemote(t, err, "", "unknown object")
				continue
			}
			one := []any{int64(want.script), int64(want.lib)}
			if diff := cmp.Diff(any([]any{one, one}), got); err != nil || diff != "" {
				t.Fatalf("after %q: %s: %v\n%s", change, id, err, diff)
			}
		}
	}
}
