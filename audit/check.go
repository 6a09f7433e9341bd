package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/hearthhost/hearth/audit/trail"
)

// Check reports whether this process can write the log at path. It changes nothing, and the log may be in use. A
// missing file is not an error.
func Check(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0) //nolint:gosec // operator's file
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the audit log cannot be opened for writing: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errors.New("the audit log is not a regular file")
	}
	_, _, err = trail.LastRecord(f, info.Size())
	return err
}
