package systemd_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/internal/systemd"
)

// TestMain runs the program of TestSockets if a test started this binary as one.
func TestMain(m *testing.M) {
	if os.Getenv("SYSTEMD_TEST") == "" { //nolint:forbidigo // the program under test is this one
		os.Exit(m.Run())
	}
	if os.Getenv("LISTEN_PID") == "self" { //nolint:forbidigo // the test has no number before the start
		os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	}
	f, err := systemd.Take()
	for _, name := range systemd.Variables {
		if v, ok := os.LookupEnv(name); ok {
			os.Stdout.WriteString(name + " is left: " + v + "\n")
		}
	}
	if err != nil {
		os.Stdout.WriteString("error: " + err.Error() + "\n")
	}
	for _, s := range f.Sockets {
		ln, err := net.FileListener(s.File)
		if err != nil {
			os.Stdout.WriteString(err.Error())
			continue
		}
		os.Stdout.WriteString(s.Name + " " + ln.Addr().Network() + "\n")
	}
	os.Exit(0)
}

// TestSockets passes sockets to a real process.
func TestSockets(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, tc := range []struct {
		env   string
		files []*os.File
		want  string
	}{
		{"LISTEN_PID=self LISTEN_FDS=1 LISTEN_FDNAMES=local", []*os.File{f}, "local tcp\n"},
		{"LISTEN_PID=self LISTEN_FDS=1", []*os.File{f}, " tcp\n"},
		{"LISTEN_PID=self LISTEN_FDS=2 LISTEN_FDNAMES=a:b", []*os.File{f, f}, "a tcp\nb tcp\n"},
		{"LISTEN_PID=1 LISTEN_FDS=1", []*os.File{f}, ""},
		{"LISTEN_FDS=1", []*os.File{f}, "error: LISTEN_FDS without LISTEN_PID"},
		{"LISTEN_PID=self LISTEN_FDS=1 LISTEN_FDNAMES=a:b", []*os.File{f}, "error: LISTEN_FDNAMES has 2 names"},
		{"LISTEN_PID=self LISTEN_FDS=3", []*os.File{f}, "error: "},
		{"LISTEN_PID=self LISTEN_FDS=-1", []*os.File{f}, "error: LISTEN_FDS="},
		{"LISTEN_PID=self LISTEN_FDS=99999999999999999999", []*os.File{f}, "error: LISTEN_FDS="},
		{"LISTEN_PID=x LISTEN_FDS=1", []*os.File{f}, "error: LISTEN_PID="},
		{"LISTEN_PID=self LISTEN_FDS=1", []*os.File{null}, "error: descriptor 3 of LISTEN_FDS is not a socket"},
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(strings.Fields(tc.env), "SYSTEMD_TEST=1")
		cmd.ExtraFiles = tc.files
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		got := string(out)
		begins := strings.HasPrefix(tc.want, "error") && strings.HasPrefix(got, tc.want) // errors have more text
		if got != tc.want && !begins {
			t.Errorf("%s: %q, want %q", tc.env, got, tc.want)
		}
	}
}

func TestWatchdogAndNotify(t *testing.T) {
	for _, tc := range []struct {
		usec, pid, notify string
		watchdog          time.Duration
		bad               string
	}{
		{"2000000", "", "", 2 * time.Second, ""},
		{"2000000", strconv.Itoa(os.Getpid()), "/run/n", 2 * time.Second, ""},
		{"2000000", "1", "@n", 0, ""},
		{"0", "", "", 0, "WATCHDOG_USEC"},
		{"99999999999999999", "", "", 0, "WATCHDOG_USEC"},
		{"1", "no", "", 0, "WATCHDOG_PID"},
		{"", "", "vsock:1:2", 0, "NOTIFY_SOCKET"},
	} {
		t.Setenv("WATCHDOG_USEC", tc.usec)
		t.Setenv("WATCHDOG_PID", tc.pid)
		t.Setenv("NOTIFY_SOCKET", tc.notify)
		f, err := systemd.Take()
		if (err != nil) != (tc.bad != "") || err != nil && !strings.Contains(err.Error(), tc.bad) {
			t.Errorf("%+v: %v", tc, err)
		}
		if f.Watchdog != tc.watchdog || tc.bad == "" && f.Notify != tc.notify {
			t.Errorf("%+v: %+v", tc, f)
		}
	}
}

func TestNotify(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "notify")
	for _, addr := range []string{path, "@hearth-test-" + strconv.Itoa(os.Getpid())} {
		if addr[0] == '@' {
			if _, err := os.Stat("/proc/self"); err != nil {
				continue // only Linux has abstract names
			}
		}
		c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: addr, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := systemd.Notify(addr, "READY=1", "STATUS=well"); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		if n, err := c.Read(b); err != nil || string(b[:n]) != "READY=1\nSTATUS=well" {
			t.Errorf("%q, %v", b[:n], err)
		}
	}
	if err := systemd.Notify("", "READY=1"); err != nil {
		t.Error(err)
	}
	if err := systemd.Notify(path+"-none", "READY=1"); err == nil {
		t.Error("Notify() without a manager returns no error")
	}
}
