package luafuzz_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/internal/luafuzz"
)

var (
	updateFlag = flag.Bool("update", false, "write the traces of lua5.1 for TestCorpus")
	fileFlag   = flag.String("file", "", "compare only this program, in TestFile")
)

// TestCorpus runs the programs of testdata. Beside each is its trace in PUC Lua 5.1, as the suffix .out:
// the engine must write the same, and so must lua5.1 where it is installed.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/*.lua")
	if err != nil || len(files) == 0 {
		t.Fatalf("testdata has %d programs: %v", len(files), err)
	}
	engine, err := newEngine()
	if err != nil {
		t.Fatal(err)
	}
	var ref *luafuzz.Reference
	if _, err := luafuzz.FindPUC(); err == nil {
		ref = &luafuzz.Reference{}
		defer ref.Close()
	} else if *updateFlag {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".lua"), func(t *testing.T) {
			source := readFile(t, file)
			name := "@" + filepath.Base(file)
			stored := strings.TrimSuffix(file, ".lua") + ".out"
			if ref != nil {
				trace, err := ref.Run(source, name)
				if err != nil {
					t.Fatal(err)
				}
				if *updateFlag {
					if err := os.WriteFile(stored, []byte(trace+"\n"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				compareTraces(t, luafuzz.PUC, trace, readFile(t, stored))
			}
			compareTraces(t, "the engine", engine.Run(source, name), readFile(t, stored))
		})
	}
}

// TestFile compares one program and prints the difference and the traces.
func TestFile(t *testing.T) {
	if *fileFlag == "" {
		t.Skip("only with -file")
	}
	c := newComparison(t)
	source := readFile(t, *fileFlag)
	d, err := c.Compare(source)
	if err != nil {
		t.Fatal(err)
	}
	if d != nil {
		t.Errorf("%v", d)
	}
	t.Log("trace of the engine:\n" + c.Engine.Run(source, luafuzz.ChunkName))
}

func compareTraces(t *testing.T, who, got, want string) {
	t.Helper()
	got += "\n"
	if got == want {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		if i >= len(g) || i >= len(w) || g[i] != w[i] {
			t.Errorf("line %d of the trace of %s is\n%s\nwant\n%s", i+1, who, lineAt(g, i), lineAt(w, i))
			return
		}
	}
}

func lineAt(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(end of trace)"
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
