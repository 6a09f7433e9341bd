package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"

	"modernc.org/sqlite"
)

// versionGap is added to the number of writes of a restored store: a version that a client has read after the backup
// belongs to no value of the restored store.
const versionGap = 1 << 32

// openFile opens a file that no process uses as a store.
func openFile(path string) (*sql.DB, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	q := url.Values{"_synchronous": {"FULL"}, "_defensive": {"1"}, "_pragma": {"trusted_schema(OFF)"}}
	c, err := sqlite.NewConnector("file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode())
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(1)
	return db, nil
}

// Epoch returns the epoch of a store that no process uses, 0 for a missing file.
func Epoch(path string) (epoch int64, err error) {
	db, err := openFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer db.Close() //nolint:errcheck // it was only read
	o, err := readOwner(db.QueryRowContext(context.Background(), selectOwner))
	if err != nil {
		return 0, fmt.Errorf("reading the owner of %s: %w", path, err)
	}
	return o.token.Epoch, nil
}

// Fence prepares a copy of a store that replaces the store: no owner so far can write it. Its epoch becomes greater
// than above. It checks that the file is a store and has no damage.
func Fence(path string, above int64) (err error) {
	db, err := openFile(path)
	if err != nil {
		return err
	}
	defer func() {
		if closed := db.Close(); err == nil {
			err = closed
		}
	}()
	ctx := context.Background()
	if err := migrate(db); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	var result string
	if err := db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&result); err != nil {
		return fmt.Errorf("checking %s: %w", path, err)
	}
	if result != "ok" {
		return fmt.Errorf("%s is damaged: %s", path, result)
	}
	_, err = db.ExecContext(ctx, `UPDATE owner SET epoch = max(epoch, ?) + 1, node = '', incarnation = '', released = 1,
		requested = '', writes = writes + ?`, above, versionGap)
	if err != nil {
		return fmt.Errorf("raising the epoch of %s: %w", path, err)
	}
	return nil
}
