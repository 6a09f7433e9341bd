package workerfile

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hearthhost/hearth/internal/memfile"
	"github.com/hearthhost/hearth/sandbox/worker"
)

const thisBuild = "0123abc"

// The test binary is also the worker program of this build, and a host whose system executes no file in memory.
func TestMain(m *testing.M) {
	switch {
	case slices.Contains(os.Args, worker.CheckArg):
		worker.BuildID = thisBuild
		os.Exit(worker.Program(os.Args[1:]))
	case len(os.Args) == 2 && os.Args[1] == "noexec":
		os.Exit(noExecHost())
	}
	os.Exit(m.Run())
}

// self returns the test binary.
func self() string {
	text, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		panic(err)
	}
	return string(text)
}

// descriptors returns the number of files in memory that this process has open.
func descriptors(t *testing.T) (n int) {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range all {
		to, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if err == nil && strings.HasPrefix(to, "/memfd:hearth-worker") {
			n++
		}
	}
	return n
}

func TestCommand(t *testing.T) {
	argv, err := command(self(), thisBuild)
	if err != nil {
		t.Fatal(err)
	}
	if len(argv) != 2 || memfile.FD(argv[0]) < 0 || argv[1] != thisBuild {
		t.Errorf("the command is %q", argv)
	}
	if n := descriptors(t); n != 1 {
		t.Errorf("%d descriptors are open, want 1", n)
	}
	unix.Close(memfile.FD(argv[0]))
}

// TestOtherBuild: a host does not start with the worker program of another build, or of a build without an id.
func TestOtherBuild(t *testing.T) {
	program := self()
	for _, host := range []string{"another", "", thisBuild + "0"} {
		_, err := command(program, host)
		if err == nil || errors.Is(err, ErrSystem) || errors.Is(err, ErrNone) {
			t.Errorf("host %q: %v, want an error that names both builds", host, err)
			continue
		}
		for _, part := range []string{`"` + host + `"`, `"` + thisBuild + `"`, "make build"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("host %q: %v, want it to contain %q", host, err, part)
			}
		}
	}
	if n := descriptors(t); n != 0 {
		t.Errorf("%d descriptors are still open", n)
	}
}

// TestNotExecutable: a file that the system does not execute is an error of the system, after which the host is its
// own worker program.
func TestNotExecutable(t *testing.T) {
	for _, program := range []string{"", "no program", "\x7fELF truncated"} {
		if _, err := command(program, thisBuild); !errors.Is(err, ErrSystem) {
			t.Errorf("%q: %v, want ErrSystem", program, err)
		}
	}
	if n := descriptors(t); n != 0 {
		t.Errorf("%d descriptors are still open", n)
	}
}

func TestNone(t *testing.T) {
	if Embedded() {
		t.Skip("this build has an embedded program")
	}
	if argv, err := Command(); !errors.Is(err, ErrNone) {
		t.Errorf("%q, %v; want ErrNone", argv, err)
	}
}

// noExecSetting is the setting by which an administrator forbids the execution of files in memory.
const noExecSetting = "/proc/sys/vm/memfd_noexec"

// TestSystemForbids makes the program in a pid namespace whose files in memory are not executable.
func TestSystemForbids(t *testing.T) {
	if _, err := os.Stat(noExecSetting); err != nil || os.Geteuid() != 0 {
		t.Skipf("SKIPPED: only root can set %s, since Linux 6.3 (%v)", noExecSetting, err)
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "noexec")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Errorf("%v: %s", err, &out)
	}
	if argv, err := command(self(), thisBuild); err != nil { // the setting is that of the namespace
		t.Error(err)
	} else {
		unix.Close(memfile.FD(argv[0]))
	}
}

// noExecHost forbids files in memory in its pid namespace, and then makes the program.
func noExecHost() int {
	if err := os.WriteFile(noExecSetting, []byte("2"), 0); err != nil {
		os.Stderr.WriteString(err.Error())
		return 1
	}
	_, err := command(self(), thisBuild)
	if !errors.Is(err, ErrSystem) || !errors.Is(err, unix.EACCES) {
		os.Stderr.WriteString("want ErrSystem and EACCES, not " + err.Error())
		return 1
	}
	return 0
}

// TestEmbedded makes the command of a build with an embedded program.
func TestEmbedded(t *testing.T) {
	if !Embedded() {
		t.Skip("this build has no embedded program")
	}
	sum := strings.Clone(image)
	argv, err := Command()
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(memfile.FD(argv[0]))
	if image != sum {
		t.Error("the embedded program has changed")
	}
}
