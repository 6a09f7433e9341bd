package supervise

import "syscall"

// attributes starts a worker in a session of its own, so that a Ctrl-C
// meant for the host lets it finish. The worker ends when its socket closes, which the
// kernel sees to however the host dies.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
