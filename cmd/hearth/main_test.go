package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

// TestMain makes this test binary the hearth of the scripts: it is put into PATH under
// that name and then runs the real main, also as the workers that serve starts.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"hearth": main})
}

// TestScript runs the stories in testdata/script, one file each, against the real main.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("MYUID", strconv.Itoa(os.Getuid()))
			e.Setenv("GORACE", os.Getenv("GORACE")) // of make test; the variables of scripts are new
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"waitready": waitReady,
			"expand":    expand,
			"exits":     exits,
			"retry":     retry,
			"setvar":    setvar,
		},
	})
}

// waitReady waits for the ready file of hearth serve and puts the addresses in it into
// the variables AT, AT2, AT3 …
func waitReady(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waitready file")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	path := ts.MkAbs(args[0])
	for {
		if text, err := os.ReadFile(path); err == nil {
			for i, addr := range strings.Fields(string(text)) {
				name := "AT"
				if i > 0 {
					name += strconv.Itoa(i + 1)
				}
				ts.Setenv(name, addr)
			}
			return
		}
		select {
		case <-ctx.Done():
			ts.Fatalf("the host is not ready after 20 s")
		case <-time.After(10 * time.Millisecond): // files have no event for the test
		}
	}
}

// expand replaces ${NAME} by the variable's value in files.
func expand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: expand file...")
	}
	for _, name := range args {
		path := ts.MkAbs(name)
		text, err := os.ReadFile(path)
		ts.Check(err)
		ts.Check(os.WriteFile(path, []byte(os.Expand(string(text), ts.Getenv)), 0o644))
	}
}

// setvar sets a variable to the content of a file, without surrounding white space.
func setvar(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: setvar name file")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
}

// retry runs a program until it succeeds: a host reads changes automatically, but not at once.
func retry(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: retry program [args...]")
	}
	late := time.After(20 * time.Second)
	for {
		err := ts.Exec(args[0], args[1:]...)
		if err == nil {
			return
		}
		select {
		case <-late:
			ts.Check(err)
		case <-time.After(50 * time.Millisecond): // a host sends no event after it has read its files
		}
	}
}

// exits runs a program and checks its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code program [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var failed *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &failed) {
		got = failed.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func TestEveryVerbHasHelp(t *testing.T) {
	t.Parallel()
	root := newRoot()
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		generated := c.Name() == "help" || strings.HasPrefix(c.CommandPath(), "hearth completion")
		if c.Short == "" || c.Long == "" || c.Example == "" && !generated && c != root {
			t.Errorf("%s: want Short, Long and Example", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(root)
}

// TestDocListsEverything keeps doc/cli.md complete: every verb, every flag.
func TestDocListsEverything(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "doc", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	doc := string(text)
	for _, c := range newRoot().Commands() {
		if c.Name() == "help" || c.Hidden {
			continue
		}
		_, section, found := strings.Cut(doc, "\n## hearth "+c.Name()+"\n")
		if !found {
			t.Errorf("doc/cli.md: no section %q", "## hearth "+c.Name())
			continue
		}
		section, _, _ = strings.Cut(section, "\n## ")
		for _, flag := range flagNames(c) {
			if !strings.Contains(section, "`"+flag) && !strings.Contains(doc, "| `"+flag) {
				t.Errorf("doc/cli.md: hearth %s: %s is missing", c.Name(), flag)
			}
		}
	}
}

// flagNames are the flags of one command's own, with their dashes.
func flagNames(c *cobra.Command) []string {
	var names []string
	for line := range strings.Lines(c.LocalNonPersistentFlags().FlagUsages()) {
		if _, flag, ok := strings.Cut(line, "--"); ok {
			names = append(names, "--"+strings.Fields(flag)[0])
		}
	}
	return names
}
