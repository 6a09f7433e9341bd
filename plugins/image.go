package plugins

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"syscall"

	"github.com/hearthhost/hearth/internal/safefile"
	"github.com/hearthhost/hearth/internal/shell"
)

// maxImageBytes bounds a plugin's executable.
const maxImageBytes = 512 << 20

// headBytes is what is kept of an executable to explain why it does not run.
const headBytes = 64 << 10

// image is an executable that nobody can change any more.
type image struct {
	file *os.File
	sum  string // SHA-256, in hexadecimal
	head []byte
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
	if err := safefile.Executable(path); err != nil {
		return startErrorf(CauseMode, "%v", err)
	}
	return nil
}

// compare compares the SHA-256 of a file with the pin.
func compare(path, sum, pin string) error {
	if sum == pin {
		return nil
	}
	return startErrorf(CausePin, "%s has the SHA-256 %s, the policy pins %s; pin the new one if the change is meant", path, sum, pin)
}

// openPlugin opens an executable for reading: never a pipe that blocks, never a folder.
func openPlugin(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // in the operator's folder
	if err != nil {
		return nil, startErrorf(CauseFile, "%v", err)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		err = startErrorf(CauseFile, "%v", err)
	case !info.Mode().IsRegular():
		err = startErrorf(CauseFile, "%s is not a regular file", path)
	case info.Mode().Perm()&0o111 == 0:
		err = startErrorf(CauseMode, "run chmod +x %s", shell.Path(path))
	case info.Size() > maxImageBytes:
		err = startErrorf(CauseFile, "%s is larger than %d bytes", path, maxImageBytes)
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
func load(path, pin string) (*image, error) {
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
		return nil, startErrorf(CauseShim, "%v", err)
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(to, h), io.LimitReader(f, maxImageBytes+1))
	if err == nil && n > maxImageBytes {
		err = startErrorf(CauseFile, "%s is larger than %d bytes", path, maxImageBytes)
	}
	if err == nil {
		err = seal(to)
	}
	img := &image{file: to, sum: hex.EncodeToString(h.Sum(nil)), head: make([]byte, min(n, headBytes))}
	if err == nil {
		_, err = to.ReadAt(img.head, 0)
	}
	if err == nil && pin != "" {
		err = compare(path, img.sum, pin)
	}
	if err != nil {
		to.Close()
		return nil, err
	}
	return img, nil
}
