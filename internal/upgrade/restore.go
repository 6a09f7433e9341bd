package upgrade

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hearthhost/hearth/internal/safefile"
)

// RestoreFile is the file in a state folder that exists while a restore gives its files their names. If the restore is
// interrupted, it remains: the folder has files of two states.
const RestoreFile = "restore.json"

// Restore describes a restore that has begun to replace files.
type Restore struct {
	Backup string `json:"backup"` // absolute path of the backup
	To     string `json:"to"`     // absolute path of the folder that receives the files
	State  string `json:"state"`  // absolute path of the state folder
}

// BeginRestore writes the RestoreFile of a state folder, which the caller has locked.
func BeginRestore(r *Restore) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := safefile.Replace(filepath.Join(r.State, RestoreFile), append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing the description of the restore: %w", err)
	}
	return nil
}

// EndRestore removes the RestoreFile of a state folder.
func EndRestore(state string) error { return os.Remove(filepath.Join(state, RestoreFile)) }

// CheckRestore returns an error if a restore into a state folder was interrupted. The caller has locked the folder.
func CheckRestore(state string) error {
	b, err := os.ReadFile(filepath.Join(state, RestoreFile)) //nolint:gosec // the policy names the folder
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var r Restore
	if json.Unmarshal(b, &r) != nil || r.Backup == "" { // the file itself is the report
		r = Restore{Backup: "DIR", To: "FOLDER", State: state}
	}
	return fmt.Errorf("a restore into the state folder %s was interrupted: it has files of two states; repeat it: "+
		"hearth restore %q --to %q --state %q --overwrite", state, r.Backup, r.To, r.State)
}
