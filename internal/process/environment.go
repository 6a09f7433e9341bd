// Package process prepares the process of a command: its environment, its core files, and the path of its program.
//
// The environment is not trusted. [CloseEnvironment] reads the few values that a command may use, and removes the
// variables that no child process may have. It removes all variables of a process with more rights than its parent,
// such as a set-user-id program: see [Privileged]. [DisableCore] prevents core files, which would contain keys.
// [Self] returns the path of this very program, from which a host starts its worker processes.
//
// Call the functions once, at the start of main, before another goroutine reads the environment.
package process

import (
	"os"

	"github.com/hearthhost/hearth/internal/systemd"
	"github.com/hearthhost/hearth/internal/upgrade"
)

// Environment holds the values that the command has read from its environment.
type Environment struct {
	Ignored bool   // true if no value was read
	Reason  string // reason for Ignored

	Handoff string              // value of upgrade.EnvFD
	Manager systemd.Environment // settings of a service manager; empty if ignored
	Err     error               // error of reading Manager
}

// CloseEnvironment reads the environment and removes all variables with noEnv, or in a process with more rights than
// its parent. It always removes the variables of descriptors and of the service manager: they are for this process,
// and no child process may use them.
func CloseEnvironment(noEnv bool) Environment {
	e := Environment{Handoff: os.Getenv(upgrade.EnvFD)} //nolint:forbidigo // its peer is checked
	_ = os.Unsetenv(upgrade.EnvFD)
	e.Manager, e.Err = systemd.Take()
	switch {
	case Privileged():
		e.Reason = "the process has more rights than its parent"
	case noEnv:
		e.Reason = "--no-env"
	default:
		// GODEBUG can weaken TLS and the checks of certificates.
		_ = os.Unsetenv("GODEBUG")
		// ZONEINFO can change time zones, on which conditions depend.
		_ = os.Unsetenv("ZONEINFO")
		// These can change the authorities of the servers that the host connects to.
		_ = os.Unsetenv("SSL_CERT_FILE")
		_ = os.Unsetenv("SSL_CERT_DIR")
		return e
	}
	os.Clearenv()
	for _, s := range e.Manager.Sockets {
		s.File.Close()
	}
	e.Ignored, e.Manager, e.Err = true, systemd.Environment{}, nil
	return e
}
