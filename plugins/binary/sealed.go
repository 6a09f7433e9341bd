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

// headBytes is the length of [Sealed.Head].
const headBytes = 64 << 10

// Sealed is a copy of an executable in sealed memory: its content cannot change.
type Sealed struct {
	File *os.File
	Sum  string // SHA-256 in hexadecimal
	Head []byte // first bytes, to explain why it does not run
}

// Sum returns the SHA-256 of a file in the form that a policy pins.
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

// Check reports whether the file at path may be started; nil means yes. pin is the required SHA-256. With an empty pin
// any content is accepted, but other users must not be able to change the file. The error is a [*StartError].
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

// unpinned checks the permissions of a file without a pin: only they protect its content.
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
	return Errorf(CausePin,
		"%s has the SHA-256 %s, the policy pins %s; pin the new one if the change is intended", path, sum, pin)
}

// openPlugin opens an executable for reading. It rejects folders and does not block on a pipe.
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

// Load copies an executable to sealed memory and compares the hash of the copy with the pin; an empty pin accepts any
// content. Executing the file itself would not be safe: a process with write access could change it in place after the
// hash.
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

// usualRuntime shows the folders that most scripts and dynamically linked programs need.
const usualRuntime = `runtime = ["/usr", "/lib", "/lib64"]`

// CheckRuntime rejects an executable whose interpreter or loader is not in a visible folder.
func (s *Sealed) CheckRuntime(path string, visible []string) error {
	kind, needs := "", ""
	if interpreter, ok := shebang(s.Head); ok {
		kind, needs = "a script for", interpreter
	} else if f, err := elf.NewFile(s.File); err == nil && elfMachine(s.Head) == nativeMachine() {
		needs = loader(f)
		if needs != "" {
			kind = "linked dynamically and needs"
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
	return Errorf(CauseInterpreter,
		"%s is %s %s, which a confined plugin does not see: add %s to its plugin block, "+
			"or link it statically (for Go: CGO_ENABLED=0)", path, kind, needs, usualRuntime)
}
