package memfile

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Seals are the seals of a file: nothing can change it, not even this process.
const Seals = unix.F_SEAL_WRITE | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// minFD is above the descriptors that a child process inherits, which replace those of the same numbers.
const minFD = 8

// New writes a program to a new file in memory and seals it. It returns the descriptor, which child processes do not
// inherit. [Path] returns the path that a child process executes.
func New(name, program string) (fd int, err error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	low, err := unix.MemfdCreate(name, flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		low, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		return -1, os.NewSyscallError("memfd_create", err)
	}
	defer unix.Close(low) //nolint:errcheck // a duplicate remains
	for rest := program; rest != ""; {
		n, err := unix.Write(low, unsafe.Slice(unsafe.StringData(rest), len(rest))) // write does not modify it
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return -1, os.NewSyscallError("write", err)
		}
		rest = rest[n:]
	}
	if err := unix.Fchmod(low, 0o500); err != nil { // other users cannot open it through /proc
		return -1, os.NewSyscallError("fchmod", err)
	}
	_, err = unix.FcntlInt(uintptr(low), unix.F_ADD_SEALS, Seals|unix.F_SEAL_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		_, err = unix.FcntlInt(uintptr(low), unix.F_ADD_SEALS, Seals)
	}
	if err != nil {
		return -1, os.NewSyscallError("fcntl(F_ADD_SEALS)", err)
	}
	fd, err = unix.FcntlInt(uintptr(low), unix.F_DUPFD_CLOEXEC, minFD)
	return fd, os.NewSyscallError("fcntl(F_DUPFD_CLOEXEC)", err)
}

// prefix is the folder of a process's descriptors.
const prefix = "/proc/self/fd/"

// Path returns the path by which a child process executes a descriptor. The child must inherit a file of [Above].
func Path(fd int) string { return prefix + strconv.Itoa(fd) }

// FD returns the descriptor of a [Path], and -1 for any other path.
func FD(path string) int {
	if number, ok := strings.CutPrefix(path, prefix); ok {
		if fd, err := strconv.Atoi(number); err == nil && fd >= 0 {
			return fd
		}
	}
	return -1
}

// Above returns a duplicate of f with a number greater than fd. A child process that executes Path(fd) must inherit
// such a file: before Go executes the program, it moves some descriptors to the numbers above those that the child
// inherits. It would replace fd there.
func Above(fd int, f *os.File) (*os.File, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	n, dupErr := -1, error(nil)
	err = raw.Control(func(old uintptr) { n, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, fd+1) })
	if err := errors.Join(err, os.NewSyscallError("fcntl(F_DUPFD_CLOEXEC)", dupErr)); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(n), f.Name()), nil
}
