// Package binary checks the executable of a plugin and copies it into sealed memory. [StartError] reports why a plugin
// does not start.
package binary

import (
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/hearthhost/hearth/internal/safefile"
	"github.com/hearthhost/hearth/internal/shell"
)

// maxImageBytes bounds a plugin's executable.
const maxImageBytes = 512 << 20

// headBytes is what is kept of an executable to explain why it does not run.
const headBytes = 64 << 10

// image is an executable that nobody can change any more.
type Sealed struct {
	File *os.File
	Sum  string // SHA-256, in hexadecimal
	Head []byte
}

// Sum returns the SHA-256 of a file, as a policy pins it.
func Sum(path string) (string, error) {
	f, err := openPlugin(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, maxImageBytes)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Check returns why the file at path may not be started, nil if it may. pin is the SHA-256 that it must have; "" takes
// any content of a file that no other user can change. The error is a [*StartError].
func Check(path, pin string) error {
	if pin == "" {
		f, err := openPlugin(path)
		if err != nil {
			return err
		}
		f.Close()
		return unpinned(path)
	}
	sum, err := Sum(path)
	if err != nil {
		return asStartError(err)
	}
	return compare(path, sum, pin)
}

// unpinned checks the file of a plugin without a pin: its content alone decides what runs.
func unpinned(path string) error {
	if err := safefile.CheckExecutable(path); err != nil {
		return Errorf(CauseMode, "%v", err)
	}
	return nil
}

// compare compares the SHA-256 of a file with the pin.
func compare(path, sum, pin string) error {
	if sum == pin {
		return nil
	}
	return Errorf(CausePin, "%s has the SHA-256 %s, the policy pins %s; pin the new one if the change is meant", path, sum, pin)
}

// openPlugin opens an executable for reading: never a pipe that blocks, never a folder.
func openPlugin(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // in the operator's folder
	if err != nil {
		return nil, Errorf(CauseFile, "%v", err)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		err = Errorf(CauseFile, "%v", err)
	case !info.Mode().IsRegular():
		err = Errorf(CauseFile, "%s is not a regular file", path)
	case info.Mode().Perm()&0o111 == 0:
		err = Errorf(CauseMode, "run chmod +x %s", shell.Path(path))
	case info.Size() > maxImageBytes:
		err = Errorf(CauseFile, "%s is larger than %d bytes", path, maxImageBytes)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// load copies an executable into memory that can be sealed, hashing what it copies, and
// compares the hash with the pin; "" is none. Executing the opened file itself would leave
// a gap: whoever may write to it could do so in place after it was hashed.
func Load(path, pin string) (*Sealed, error) {
	f, err := openPlugin(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if pin == "" {
		if err := unpinned(path); err != nil {
			return nil, err
		}
	}
	to, err := newMemory(path)
	if err != nil {
		return nil, Errorf(CauseShim, "%v", err)
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(to, h), io.LimitReader(f, maxImageBytes+1))
	if err == nil && n > maxImageBytes {
		err = Errorf(CauseFile, "%s is larger than %d bytes", path, maxImageBytes)
	}
	if err == nil {
		err = seal(to)
	}
	img := &Sealed{File: to, Sum: hex.EncodeToString(h.Sum(nil)), Head: make([]byte, min(n, headBytes))}
	if err == nil {
		_, err = to.ReadAt(img.Head, 0)
	}
	if err == nil && pin != "" {
		err = compare(path, img.Sum, pin)
	}
	if err != nil {
		to.Close()
		return nil, err
	}
	return img, nil
}

// usualRuntime is what most programs need that are not complete in themselves.
const usualRuntime = `runtime = ["/usr", "/lib", "/lib64"]`

// CheckRuntime refuses an executable that needs an interpreter or a loader which it would not
// see.
func (s *Sealed) CheckRuntime(path string, visible []string) error {
	what, needs := "", ""
	if interpreter, ok := shebang(s.Head); ok {
		what, needs = "a script for", interpreter
	} else if f, err := elf.NewFile(s.File); err == nil && elfMachine(s.Head) == nativeMachine() {
		if needs = loader(f); needs != "" {
			what = "linked dynamically and needs"
		}
	}
	if needs == "" {
		return nil
	}
	for _, v := range visible {
		if needs == v || strings.HasPrefix(needs, v+"/") {
			return nil
		}
	}
	return Errorf(CauseInterpreter, "%s is %s %s, which a confined plugin does not see: add %s to its plugin block, or link it statically (for Go: CGO_ENABLED=0)", path, what, needs, usualRuntime)
}
