package executable

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Target is the file that a process is about to execute.
type Target struct {
	FD        int
	Argv      []string
	Inherited bool // descriptor 3 stays open: an interpreter reads it
}

// ScriptPath is the path of a script in the program's root.
const ScriptPath = "/plugin"

// maxInterpreterBytes limits the size of the copy of an interpreter.
const maxInterpreterBytes = 256 << 20

// minCopyFD is the smallest descriptor of the copy of an interpreter. Smaller ones have other uses in the process.
const minCopyFD = 5

// IsScript reports whether a file begins with "#!".
func IsScript(fd int) bool {
	var head [2]byte
	n, err := unix.Pread(fd, head[:], 0)
	return err == nil && n == len(head) && string(head[:]) == "#!"
}

// Prepare finds the interpreter of a script, as the kernel does. It also resolves env, because the filter allows one
// execution only. It executes an unreadable copy of the interpreter: other processes could inspect a process whose file
// is readable.
func (m *Target) Prepare(rooted bool) error {
	if !IsScript(m.FD) {
		return nil
	}
	line := make([]byte, 256)
	n, err := unix.Pread(m.FD, line, 0)
	if err != nil {
		return err
	}
	path, arg, err := interpreter(line[:n])
	if err != nil {
		return err
	}
	script := ScriptPath
	if !rooted {
		script, m.Inherited = fmt.Sprintf("/proc/self/fd/%d", m.FD), true
	}
	m.Argv = []string{path}
	if arg != "" {
		m.Argv = append(m.Argv, arg)
	}
	m.Argv = append(m.Argv, script)
	m.FD, err = unreadable(path)
	return err
}

// interpreter reads the first line of a script.
func interpreter(text []byte) (path, arg string, err error) {
	line, _, whole := bytes.Cut(text[2:], []byte("\n"))
	if !whole {
		return "", "", errors.New("the script's first line is too long")
	}
	path, arg, _ = strings.Cut(strings.TrimSpace(string(line)), " ")
	arg = strings.TrimSpace(arg)
	if filepath.Base(path) == "env" {
		if arg == "" || strings.ContainsAny(arg, "-= \t/") {
			return "", "", fmt.Errorf("the script's first line has more for env than one name, %q: name the "+
				"interpreter by its path", arg)
		}
		for _, dir := range []string{"/usr/local/bin", "/usr/bin", "/bin"} {
			if info, err := os.Stat(filepath.Join(dir, arg)); err == nil && info.Mode().IsRegular() &&
				info.Mode().Perm()&0o111 != 0 {
				return filepath.Join(dir, arg), "", nil
			}
		}
		return "", "", fmt.Errorf("the interpreter %s is not in /usr/local/bin, /usr/bin or /bin of the plugin; "+
			"add its folders to runtime = [\"/usr\", \"/lib\", \"/lib64\"], or use an absolute path in the script", arg)
	}
	if !filepath.IsAbs(path) {
		return "", "", fmt.Errorf("the script's interpreter %q is not an absolute path", path)
	}
	return path, arg, nil
}

// unreadable returns a copy of a program that can be executed but not read.
func unreadable(path string) (int, error) {
	from, err := os.Open(path) //nolint:gosec // a file that the policy shows to the program
	if err != nil {
		return -1, fmt.Errorf("the script's interpreter: %w; add its folders to the plugin's runtime = [\"/usr\", "+
			"\"/lib\", \"/lib64\"]", err)
	}
	defer from.Close()
	const flags = unix.MFD_CLOEXEC
	fd, err := unix.MemfdCreate(filepath.Base(path), flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate(filepath.Base(path), flags)
	}
	if err != nil {
		return -1, os.NewSyscallError("memfd_create", err)
	}
	to := os.NewFile(uintptr(fd), path)
	n, err := io.Copy(to, io.LimitReader(from, maxInterpreterBytes+1))
	if err == nil && n > maxInterpreterBytes {
		err = errors.New("it is too large")
	}
	if err == nil && IsScript(fd) {
		err = errors.New("it is a script itself: name the program that runs it")
	}
	if err == nil {
		err = unix.Fchmod(fd, 0o111)
	}
	if err != nil {
		to.Close()
		return -1, fmt.Errorf("the script's interpreter %s: %w", path, err)
	}
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, minCopyFD) // to is closed by its finalizer
	to.Close()
	return dup, err
}
