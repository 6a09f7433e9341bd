package sqlite

import (
	"context"
	"database/sql"
	"fmt"
)

// schemaVersion is the newest schema that this program reads and writes. Numbers are never reused.
const schemaVersion = 2

// applicationID marks the files of this package in SQLite's header: "Hrth".
const applicationID = 0x48727468

// migrations has the statements that lead from each version to the next.
var migrations = [schemaVersion]string{
	`CREATE TABLE kv (
		object  TEXT NOT NULL,
		key     TEXT NOT NULL,
		value   TEXT NOT NULL, -- JSON
		version INTEGER NOT NULL,
		expires INTEGER NOT NULL, -- milliseconds since 1970; 0: never
		PRIMARY KEY (object, key)
	) WITHOUT ROWID;
	CREATE INDEX kv_expires ON kv (expires) WHERE expires > 0;
	CREATE TABLE usage (
		object TEXT PRIMARY KEY,
		bytes  INTEGER NOT NULL,
		keys   INTEGER NOT NULL,
		answers INTEGER NOT NULL
	) WITHOUT ROWID;
	CREATE TABLE seen (
		object    TEXT NOT NULL,
		principal TEXT NOT NULL,
		key       TEXT NOT NULL, -- idempotency key
		sum       BLOB NOT NULL, -- of the arguments
		state     INTEGER NOT NULL, -- 1 begun, 2 done, 3 done without the reply
		exception INTEGER NOT NULL,
		reply     BLOB NOT NULL,
		expires   INTEGER NOT NULL,
		PRIMARY KEY (object, principal, key)
	) WITHOUT ROWID;
	CREATE INDEX seen_expires ON seen (expires);
	CREATE TABLE owner (
		id          INTEGER PRIMARY KEY CHECK (id = 1),
		epoch       INTEGER NOT NULL,
		node        TEXT NOT NULL,
		incarnation TEXT NOT NULL,
		released    INTEGER NOT NULL,
		requested      TEXT NOT NULL, -- incarnation that waits for the store
		writes      INTEGER NOT NULL, -- writes so far: the source of versions
		bytes       INTEGER NOT NULL,
		keys        INTEGER NOT NULL
	);
	INSERT INTO owner VALUES (1, 0, '', '', 1, '', 0, 0, 0);`,
	`ALTER TABLE owner ADD COLUMN latest INTEGER NOT NULL DEFAULT 0; -- greatest time so far, in milliseconds`,
}

// migrate brings a file to schemaVersion. It rejects files of newer programs and of other programs.
func migrate(db *sql.DB) error {
	ctx := context.Background()
	var version, application, tables int
	if err := db.QueryRowContext(ctx, "SELECT (SELECT user_version FROM pragma_user_version), "+
		"(SELECT application_id FROM pragma_application_id), (SELECT count(*) FROM sqlite_schema)").
		Scan(&version, &application, &tables); err != nil {
		return err
	}
	switch {
	case version > schemaVersion:
		return fmt.Errorf("the file has schema %d, this program reads up to %d; run the hearth that wrote it, or a "+
			"newer one", version, schemaVersion)
	case application != applicationID && tables > 0:
		return fmt.Errorf("the file is an SQLite database of another program; remove it from the folder of stores")
	case version == schemaVersion:
		return nil
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	// Another process may have done it meanwhile.
	if err := tx.QueryRowContext(ctx, "SELECT user_version FROM pragma_user_version").Scan(&version); err != nil {
		return err
	}
	for ; version < schemaVersion; version++ {
		if _, err := tx.ExecContext(ctx, migrations[version]); err != nil {
			return err
		}
	}
	for _, pragma := range []string{
		fmt.Sprintf("PRAGMA user_version = %d", schemaVersion),
		fmt.Sprintf("PRAGMA application_id = %d", applicationID),
	} {
		if _, err := tx.ExecContext(ctx, pragma); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// Statements of readers.
const (
	selectItem = `SELECT value, version, expires FROM kv WHERE object = ? AND key = ?`

	selectRange = `SELECT key, value, version, expires FROM kv WHERE object = ? AND key >= ? AND key < ?
		AND (expires = 0 OR expires > ?) ORDER BY key LIMIT ?`
	selectReverse = `SELECT key, value, version, expires FROM kv WHERE object = ? AND key >= ? AND key < ?
		AND (expires = 0 OR expires > ?) ORDER BY key DESC LIMIT ?`

	selectAnswer = `SELECT sum, state, exception, reply FROM seen
		WHERE object = ? AND principal = ? AND key = ? AND expires > ?`

	// selectAll reads in one statement, so all keys are those of one moment.
	selectAll = `SELECT object, key, value, version, expires FROM kv WHERE expires = 0 OR expires > ?
		ORDER BY object, key`

	// selectMiscounted compares the sizes in table usage with those of the rows. The numbers are [store.ItemBytes] and
	// [store.AnswerBytes].
	selectMiscounted = `SELECT object FROM usage AS u WHERE
			keys <> (SELECT count(*) FROM kv WHERE kv.object = u.object)
			OR answers <> (SELECT count(*) FROM seen WHERE seen.object = u.object)
			OR bytes <> (SELECT coalesce(sum(octet_length(key) + octet_length(value) + 32), 0) FROM kv
				WHERE kv.object = u.object)
				+ (SELECT coalesce(sum(octet_length(principal) + octet_length(key) + octet_length(reply) + 64), 0) FROM seen
				WHERE seen.object = u.object)
		UNION SELECT object FROM kv WHERE object NOT IN (SELECT object FROM usage) LIMIT 100`

	selectTotals  = `SELECT bytes, keys FROM owner`
	selectObjects = `SELECT object, bytes, keys FROM usage WHERE object > ? AND bytes > 0 ORDER BY object LIMIT ?`
)
