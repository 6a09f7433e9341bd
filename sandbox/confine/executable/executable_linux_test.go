package executable

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestInterpreter checks the first lines of scripts.
func TestInterpreter(t *testing.T) {
	for line, want := range map[string][2]string{
		"#!/bin/sh\n":           {"/bin/sh", ""},
		"#! /bin/sh -e \nexit":  {"/bin/sh", "-e"},
		"#!/usr/bin/env sh\n":   {"", ""}, // the path depends on the machine
		"#!sh\n":                {"", ""},
		"#!/bin/sh":             {"", ""},
		"#!/usr/bin/env -S a\n": {"", ""},
		"#!/usr/bin/env ../x\n": {"", ""},
	} {
		path, arg, err := interpreter([]byte(line))
		if line == "#!/usr/bin/env sh\n" {
			if err == nil && filepath.Base(path) != "sh" {
				t.Errorf("interpreter(%q) = %s", line, path)
			}
			continue
		}
		if path != want[0] || arg != want[1] || (err == nil) != (want[0] != "") {
			t.Errorf("interpreter(%q) = %q, %q, %v", line, path, arg, err)
		}
	}
}

// TestPrepare checks that a script is executed by a copy of its interpreter that cannot be read, and that a program is
// executed as it is.
func TestPrepare(t *testing.T) {
	file := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(file, []byte("#!/bin/sh -e\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m := Target{FD: int(f.Fd()), Argv: []string{"name"}}
	if err := m.Prepare(true); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(m.FD)
	var st unix.Stat_t
	if err := unix.Fstat(m.FD, &st); err != nil || st.Mode&0o777 != 0o111 {
		t.Errorf("the copy has the mode %o, %v", st.Mode, err)
	}
	if len(m.Argv) != 3 || m.Argv[0] != "/bin/sh" || m.Argv[1] != "-e" || m.Argv[2] != ScriptPath || m.Inherited {
		t.Errorf("arguments %q, inherited %t", m.Argv, m.Inherited)
	}
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	m = Target{FD: int(self.Fd()), Argv: []string{"name"}}
	if err := m.Prepare(true); err != nil || m.FD != int(self.Fd()) || len(m.Argv) != 1 {
		t.Errorf("a program: %+v, %v", m, err)
	}
}
