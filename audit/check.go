package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/hearthhost/hearth/audit/trail"
)

// Check returns why the log at path could not be written by this process; nil if it could. It changes nothing, and the
// log may be in use. A file that does not exist yet is no fault.
func Check(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0) //nolint:gosec // the operator names the audit log
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
