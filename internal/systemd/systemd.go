// Package systemd takes what a service manager hands to the process that it starts, and
// tells it how that process is: the protocols of sd_listen_fds(3), sd_notify(3) and
// sd_watchdog_enabled(3). It knows nothing of hosts, and trusts nothing that it takes: who
// uses a socket looks first at what it is.
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

// firstFD is the number of the first descriptor that is handed over.
const firstFD = 3

// maxFDs bounds how many are believed in.
const maxFDs = 256

// The variables of the protocols.
const (
	listenFDs     = "LISTEN_FDS"
	listenPID     = "LISTEN_PID"
	listenNames   = "LISTEN_FDNAMES"
	notifySocket  = "NOTIFY_SOCKET"
	watchdogUsec  = "WATCHDOG_USEC"
	watchdogPID   = "WATCHDOG_PID"
	listenPIDFDID = "LISTEN_PIDFDID"
)

// Variables are the names of all that [Take] takes.
var Variables = []string{listenFDs, listenPID, listenNames, listenPIDFDID, notifySocket, watchdogUsec, watchdogPID}

// Environment are what the process was handed. The zero value is nothing.
type Environment struct {
	Sockets  []Socket
	Notify   string        // the address that is told; "": nobody is
	Watchdog time.Duration // how often it wants to hear that all is well; 0: never
}

// Socket is a descriptor that was handed over. It is closed in programs that are started.
type Socket struct {
	Name string // as the manager calls it; "" if it does not say
	File *os.File
}

// Take reads the variables and removes them, so that no program that is started later takes
// them for its own. What is meant for another process is nothing; what cannot be read is an
// error, and the variables are gone even so.
func Take() (Environment, error) {
	env := map[string]string{}
	for _, name := range Variables {
		env[name] = os.Getenv(name) //nolint:forbidigo // facts of who started the process
		_ = os.Unsetenv(name)
	}
	var f Environment
	var errs [3]error
	f.Sockets, errs[0] = sockets(env)
	f.Watchdog, errs[1] = watchdog(env)
	f.Notify, errs[2] = notify(env)
	return f, errors.Join(errs[:]...)
}

// ours reports whether variables that name this process were set. Some managers name none.
func ours(name, pid string) (bool, error) {
	if pid == "" {
		return true, nil
	}
	n, err := strconv.Atoi(pid)
	if err != nil || n <= 0 {
		return false, fmt.Errorf("%s=%q: want the number of a process", name, pid)
	}
	return n == os.Getpid(), nil
}

func sockets(env map[string]string) ([]Socket, error) {
	if env[listenFDs] == "" {
		return nil, nil
	}
	if env[listenPID] == "" {
		return nil, fmt.Errorf("%s without %s: whom the sockets are for is not known", listenFDs, listenPID)
	}
	if mine, err := ours(listenPID, env[listenPID]); err != nil || !mine {
		return nil, err
	}
	n, err := strconv.Atoi(env[listenFDs])
	if err != nil || n < 0 || n > maxFDs {
		return nil, fmt.Errorf("%s=%q: want a number from 0 to %d", listenFDs, env[listenFDs], maxFDs)
	}
	var names []string
	if env[listenNames] != "" {
		if names = strings.Split(env[listenNames], ":"); len(names) != n {
			return nil, fmt.Errorf("%s has %d names, and there are %d sockets", listenNames, len(names), n)
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
	if mine, err := ours(watchdogPID, env[watchdogPID]); err != nil || !mine {
		return 0, err
	}
	n, err := strconv.ParseInt(env[watchdogUsec], 10, 64)
	if err != nil || n <= 0 || n > int64(24*time.Hour/time.Microsecond) {
		return 0, fmt.Errorf("%s=%q: want microseconds, a day at most", watchdogUsec, env[watchdogUsec])
	}
	return time.Duration(n) * time.Microsecond, nil
}

func notify(env map[string]string) (string, error) {
	addr := env[notifySocket]
	if addr != "" && (len(addr) < 2 || addr[0] != '/' && addr[0] != '@') {
		return "", fmt.Errorf("%s=%q: want the path of a Unix socket, or an abstract one with @", notifySocket, addr)
	}
	return addr, nil
}

// Notify sends lines such as "READY=1" in one message to the manager at addr; with addr ""
// it does nothing. Text in a line must not contain a line's end.
func Notify(addr string, lines ...string) error {
	if addr == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: addr, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("telling the service manager: %w", err)
	}
	defer c.Close()
	// A manager that does not read must not hold us up.
	_ = c.SetWriteDeadline(time.Now().Add(time.Second))
	if _, err := c.Write([]byte(strings.Join(lines, "\n"))); err != nil {
		return fmt.Errorf("telling the service manager: %w", err)
	}
	return nil
}
