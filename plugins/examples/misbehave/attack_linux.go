package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"github.com/hearthhost/hearth/plugins/sdk"
)

// attacks adds the attacks that exist on Linux only.
func attacks(o *sdk.Object) *sdk.Object {
	return o.Method("descriptors", imp.Descriptors, "").Method("spawn", imp.Spawn, "").Method("read", imp.Read, "").
		Method("list", imp.List, "").Method("dial", imp.Dial, "").Method("fill", imp.Fill, "").Method("crowd",
		imp.Crowd, "").
		Method("link", imp.Link, "").Method("raw", imp.Raw, "").Method("bomb", imp.Bomb, "").Method("threads",
		imp.Threads, "").
		Method("daemonise", imp.Daemonise, "").Method("memory", imp.Memory, "").Method("shared", imp.Shared, "").
		Method("elsewhere", imp.Elsewhere, "").Method("pester", imp.Pester, "").Method("hoard", imp.Hoard, "")
}

// Descriptors lists the open descriptors. It tests each number.
func (imp) Descriptors() []string {
	var out []string
	for fd := range 1024 {
		var st syscall.Stat_t
		if syscall.Fstat(fd, &st) == nil {
			out = append(out, fmt.Sprintf("%d %o %d bytes", fd, st.Mode&syscall.S_IFMT, st.Size))
		}
	}
	return out
}

// Spawn leaves a child process behind, which holds the pipes open.
func (imp) Spawn() (int, error) {
	cmd := exec.Command("/bin/sleep", "300") //nolint:noctx // it is to outlive the call
	cmd.Stdout, cmd.Stderr = os.NewFile(1, "out"), os.NewFile(2, "err")
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	return cmd.Process.Pid, nil
}

func (imp) Read(path string) (string, error) {
	b, err := os.ReadFile(path) //nolint:gosec // the point of it
	return string(b), err
}

func (imp) List(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out, err
}

func (imp) Dial(network, addr string) (string, error) {
	c, err := net.DialTimeout(network, addr, time.Second) //nolint:noctx // bounded
	if err != nil {
		return "", err
	}
	defer c.Close()
	return "connected", nil
}

// Fill writes to a file until an error. It returns the number of bytes.
func (imp) Fill(dir string) (int, error) {
	f, err := os.Create(filepath.Join(dir, "big")) //nolint:gosec // the point of it
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n := 0
	for n < 1<<30 {
		w, err := f.Write(make([]byte, 1<<20))
		n += w
		if err != nil {
			return n, nil
		}
	}
	return n, nil
}

// Crowd creates empty files until an error. It returns their number.
func (imp) Crowd(dir string) int {
	for n := range 1_000_000 {
		f, err := os.Create(filepath.Join(dir, fmt.Sprint("x", n))) //nolint:gosec // the point of it
		if err != nil {
			return n
		}
		f.Close()
	}
	return 1_000_000
}

func (imp) Link(to, name string) error { return os.Symlink(to, name) }

// Raw makes a system call with numbers, and texts as pointers. It returns the result as a text.
func (imp) Raw(nr int, args ...any) string {
	var a [6]uintptr
	var kept []*[512]byte
	for i, arg := range args {
		switch v := arg.(type) {
		case int64:
			a[i] = uintptr(v)
		case string:
			b := new([512]byte)
			copy(b[:511], v)
			kept = append(kept, b)
			a[i] = uintptr(unsafe.Pointer(b)) //nolint:gosec // kept alive below
		}
	}
	r, _, errno := syscall.Syscall6(uintptr(nr), a[0], a[1], a[2], a[3], a[4], a[5])
	runtime.KeepAlive(kept)
	if errno != 0 {
		return errno.Error()
	}
	return fmt.Sprintf("got %d", int(r))
}

// sleeper is the code of a forked process. It sleeps until it is killed.
func sleeper() {
	for {
		ts := syscall.Timespec{Sec: 3600}
		//nolint:gosec // it lives on this stack
		_, _, _ = syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0)
	}
}

// fork creates a process that can only make system calls: it has one of the runtime's threads.
func fork() (int, syscall.Errno) {
	r, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	return int(r), errno
}

// Bomb forks until an error. It returns the number of processes.
func (imp) Bomb() int {
	for n := range 100_000 {
		r, errno := fork()
		if errno != 0 {
			return n
		}
		if r == 0 {
			sleeper()
		}
	}
	return 100_000
}

// Threads starts threads until the runtime fails, which ends the process.
func (imp) Threads() int {
	for range 100_000 {
		go func() {
			runtime.LockOSThread()
			ts := syscall.Timespec{Sec: 3600}
			_ = syscall.Nanosleep(&ts, nil)
		}()
	}
	<-time.After(time.Minute)
	return 100_000
}

// Daemonise leaves daemons behind: in new sessions, without a parent, without open files, ignoring signals. It returns
// their number.
func (imp) Daemonise() (int, error) {
	for range 3 {
		r, errno := fork()
		if errno != 0 {
			return 0, errno
		}
		if r == 0 {
			_, _, _ = syscall.RawSyscall(syscall.SYS_SETSID, 0, 0, 0)
			if r, _ := fork(); r != 0 {
				_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
			}
			_, _, _ = syscall.RawSyscall(syscall.SYS_SETSID, 0, 0, 0)
			for fd := range uintptr(1024) {
				_, _, _ = syscall.RawSyscall(syscall.SYS_CLOSE, fd, 0, 0)
			}
			sleeper()
		}
		var ws syscall.WaitStatus
		_, _ = syscall.Wait4(r, &ws, 0, nil)
	}
	return 3, nil
}

// Memory allocates a number of bytes.
func (imp) Memory(n int) int {
	b := make([]byte, n)
	for i := 0; i < n; i += 4096 {
		b[i] = 1
	}
	runtime.KeepAlive(b)
	return n
}

// Shared allocates memory that limits of private memory do not count.
func (imp) Shared(n int) error {
	_, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED|syscall.MAP_ANON)
	return err
}

// Elsewhere executes a program from a thread that is not the first. The kernel does not kill that thread when the host
// dies.
func (imp) Elsewhere(path string) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- syscall.Exec(path, []string{"x"}, nil)
	}()
	return <-done
}

// Pester connects to all visible sockets except its own and sends garbage.
func (imp) Pester(dir string) (int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, e := range entries {
		c, err := net.DialTimeout("unix", filepath.Join(dir, e.Name()), time.Second) //nolint:noctx // bounded
		if err != nil {
			continue
		}
		n++
		_ = c.SetDeadline(time.Now().Add(time.Second))
		_, err = c.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n nonsense"))
		if _, rerr := c.Read(make([]byte, 1)); errors.Is(err, nil) && rerr == nil {
			_, _ = c.Write(make([]byte, 1<<16))
		}
		c.Close()
	}
	return n, nil
}

// Hoard connects to all visible sockets until an error and keeps the connections. It returns their number.
func (imp) Hoard(dir string) (int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, e := range entries {
		for range 300 {
			c, err := net.DialTimeout("unix", filepath.Join(dir, e.Name()), time.Second) //nolint:noctx // bounded
			if err != nil {
				break
			}
			hoard = append(hoard, c)
			n++
		}
	}
	return n, nil
}

var hoard []net.Conn
