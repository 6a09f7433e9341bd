// Package systemd implements the protocols of a service manager: sd_listen_fds(3), sd_notify(3) and
// sd_watchdog_enabled(3). It does not check the passed sockets. Callers must check their type and address.
package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// firstFD is the number of the first passed descriptor.
const firstFD = 3

// maxFDs is the largest accepted number of descriptors.
const maxFDs = 256

// Environment variables of the protocols.
const (
	listenFDs     = "LISTEN_FDS"
	listenPID     = "LISTEN_PID"
	listenNames   = "LISTEN_FDNAMES"
	notifySocket  = "NOTIFY_SOCKET"
	watchdogUsec  = "WATCHDOG_USEC"
	watchdogPID   = "WATCHDOG_PID"
	listenPIDFDID = "LISTEN_PIDFDID"
)

// Variables are the names of the variables that [Take] reads and removes.
var Variables = []string{listenFDs, listenPID, listenNames, listenPIDFDID, notifySocket, watchdogUsec, watchdogPID}

// Environment holds the settings that a service manager passes to this process. The zero value holds none.
type Environment struct {
	Sockets  []Socket
	Notify   string        // address for messages of state; "" for none
	Watchdog time.Duration // largest interval between watchdog messages; 0 for none
}

// Socket is a passed descriptor. It has close-on-exec set.
type Socket struct {
	Name string // name in the manager's configuration; "" without one
	File *os.File
}

// Take reads the variables and removes them, so that no child process uses them. It ignores variables for another
// process. Invalid variables are an error, and are removed too.
func Take() (Environment, error) {
	env := map[string]string{}
	for _, name := range Variables {
		env[name] = os.Getenv(name) //nolint:forbidigo // set by the service manager
		_ = os.Unsetenv(name)
	}
	var f Environment
	var errs [3]error
	f.Sockets, errs[0] = sockets(env)
	f.Watchdog, errs[1] = watchdog(env)
	f.Notify, errs[2] = notify(env)
	return f, errors.Join(errs[:]...)
}

// forThisProcess reports whether variables are for the process with the number pid. Some managers set no number.
func forThisProcess(name, pid string) (bool, error) {
	if pid == "" {
		return true, nil
	}
	n, err := strconv.Atoi(pid)
	if err != nil || n <= 0 {
		return false, fmt.Errorf("%s=%q is not the number of a process", name, pid)
	}
	return n == os.Getpid(), nil
}

func sockets(env map[string]string) ([]Socket, error) {
	if env[listenFDs] == "" {
		return nil, nil
	}
	if env[listenPID] == "" {
		return nil, fmt.Errorf("%s without %s: the sockets may be for another process", listenFDs, listenPID)
	}
	if mine, err := forThisProcess(listenPID, env[listenPID]); err != nil || !mine {
		return nil, err
	}
	n, err := strconv.Atoi(env[listenFDs])
	if err != nil || n < 0 || n > maxFDs {
		return nil, fmt.Errorf("%s=%q is not a number from 0 to %d", listenFDs, env[listenFDs], maxFDs)
	}
	var names []string
	if env[listenNames] != "" {
		if names = strings.Split(env[listenNames], ":"); len(names) != n {
			return nil, fmt.Errorf("%s has %d names for %d sockets", listenNames, len(names), n)
		}
	}
	var out []Socket
	for i := range n {
		s := Socket{}
		if names != nil && names[i] != "unknown" && names[i] != "stored" {
			s.Name = names[i]
		}
		var st syscall.Stat_t
		if err := syscall.Fstat(firstFD+i, &st); err != nil {
			return nil, fmt.Errorf("%s=%d, and descriptor %d: %w", listenFDs, n, firstFD+i, err)
		}
		if st.Mode&syscall.S_IFMT != syscall.S_IFSOCK {
			return nil, fmt.Errorf("descriptor %d of %s is not a socket", firstFD+i, listenFDs)
		}
		syscall.CloseOnExec(firstFD + i)
		s.File = os.NewFile(uintptr(firstFD+i), s.Name)
		out = append(out, s)
	}
	return out, nil
}

func watchdog(env map[string]string) (time.Duration, error) {
	if env[watchdogUsec] == "" {
		return 0, nil
	}
	if mine, err := forThisProcess(watchdogPID, env[watchdogPID]); err != nil || !mine {
		return 0, err
	}
	n, err := strconv.ParseInt(env[watchdogUsec], 10, 64)
	if err != nil || n <= 0 || n > int64(24*time.Hour/time.Microsecond) {
		return 0, fmt.Errorf("%s=%q is not a number of microseconds up to a day", watchdogUsec, env[watchdogUsec])
	}
	return time.Duration(n) * time.Microsecond, nil
}

func notify(env map[string]string) (string, error) {
	addr := env[notifySocket]
	if addr != "" && (len(addr) < 2 || addr[0] != '/' && addr[0] != '@') {
		return "", fmt.Errorf("%s=%q is no path of a Unix socket and no abstract name with @", notifySocket, addr)
	}
	return addr, nil
}

// Notify sends variables such as "READY=1" in one message to the manager at addr. With addr "" it does nothing. A
// value must not contain a newline.
func Notify(addr string, lines ...string) error {
	if addr == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: addr, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("sending a message to the service manager: %w", err)
	}
	defer c.Close()
	// A manager that does not read must not block the caller.
	_ = c.SetWriteDeadline(time.Now().Add(time.Second))
	if _, err := c.Write([]byte(strings.Join(lines, "\n"))); err != nil {
		return fmt.Errorf("sending a message to the service manager: %w", err)
	}
	return nil
}
