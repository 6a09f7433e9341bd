package backend

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// sockets returns the folder of the sockets between this host and its plugins. Its
// name has the process id, because two hosts run at once during an upgrade.
func (m *Manager) sockets() string {
	return filepath.Join(m.cfg.StateDir, "plugins", strconv.Itoa(os.Getpid()))
}

// MakeSockets makes the folder of sockets, with mode 0700. It removes the folders of
// ended hosts, except that of the predecessor with this process id (0: no predecessor).
func (m *Manager) MakeSockets(predecessor int) error {
	own := m.sockets()
	if err := clearFolder(filepath.Dir(own), strconv.Itoa(predecessor)); err != nil {
		return fmt.Errorf("clear the folder of plugin sockets: %w", err)
	}
	if err := os.MkdirAll(own, 0o700); err != nil {
		return fmt.Errorf("make the folder of plugin sockets: %w", err)
	}
	return nil
}

// clearFolder removes all entries of a folder except keep. A missing folder is not an error.
func clearFolder(dir, keep string) error {
	all, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range all {
		if e.Name() != keep {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// RemoveSockets removes the folder of sockets.
func (m *Manager) RemoveSockets() {
	_ = os.RemoveAll(m.sockets()) // after an error the next host removes it
}
