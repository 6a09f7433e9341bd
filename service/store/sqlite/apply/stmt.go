package apply

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
)

// Stmt is a prepared statement of one connection. It calls the driver without package database/sql, whose bookkeeping
// takes longer than a small statement. It belongs to the goroutine that uses the connection.
type Stmt struct {
	close func() error
	exec  driver.StmtExecContext
	query driver.StmtQueryContext
	args  []driver.NamedValue // for reuse
	row   []driver.Value      // for reuse
}

// PrepareStmt prepares a statement.
func PrepareStmt(conn driver.ConnPrepareContext, text string) (*Stmt, error) {
	prepared, err := conn.PrepareContext(context.Background(), text)
	if err != nil {
		return nil, err
	}
	s := &Stmt{close: prepared.Close}
	var ok bool
	if s.exec, ok = prepared.(driver.StmtExecContext); ok {
		s.query, ok = prepared.(driver.StmtQueryContext)
	}
	if !ok {
		return nil, errors.Join(fmt.Errorf("the driver's statement is a %T", prepared), prepared.Close())
	}
	return s, nil
}

// bind returns the arguments of a statement. Each must be an int64, a string, a []byte or a bool.
func (s *Stmt) bind(args []driver.Value) []driver.NamedValue {
	s.args = s.args[:0]
	for i, v := range args {
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return s.args
}

// Close releases the statement.
func (s *Stmt) Close() error { return s.close() }

// Exec runs a statement without rows.
func (s *Stmt) Exec(args ...driver.Value) error {
	_, err := s.exec.ExecContext(context.Background(), s.bind(args))
	clear(s.args)
	return err
}

// Each runs a statement and calls do with each row. A text or blob of the row is valid until do returns.
func (s *Stmt) Each(do func(row []driver.Value) error, args ...driver.Value) (err error) {
	rows, err := s.query.QueryContext(context.Background(), s.bind(args))
	clear(s.args)
	if err != nil {
		return err
	}
	defer func() {
		if closed := rows.Close(); err == nil {
			err = closed
		}
	}()
	if n := len(rows.Columns()); len(s.row) != n {
		s.row = make([]driver.Value, n)
	}
	for {
		err := rows.Next(s.row)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := do(s.row); err != nil {
			return err
		}
	}
}
