package stores

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/service/store"
	"github.com/hearthhost/hearth/service/store/dump"
	"github.com/hearthhost/hearth/service/store/sqlite"
)

// temporaryPrefix begins the names of temporary files. No tenant has such a name.
const temporaryPrefix = ".copy-"

// temporary creates a temporary file. The caller removes and closes it.
func (s *Stores) temporary() (*os.File, error) {
	err := os.MkdirAll(s.cfg.Dir, 0o700)
	var f *os.File
	if err == nil {
		f, err = os.CreateTemp(s.cfg.Dir, temporaryPrefix+"*")
	}
	if err != nil {
		return nil, object.Errorf(object.CodeUnavailable, "creating a temporary file: %v", err)
	}
	return f, nil
}

// Clean removes the temporary files of a host that was killed.
func Clean(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, temporaryPrefix+"*"))
	for _, name := range left {
		if failed := os.Remove(name); err == nil {
			err = failed
		}
	}
	return err
}

// Export writes the keys of a tenant as they are at one moment, one line each, see package dump.
func (s *Stores) Export(ctx context.Context, op Operator, tenant object.Tenant, to io.Writer) error {
	exists, err := s.exists(tenant)
	if err == nil {
		err = s.recordTenant(op, "export", tenant, "")
	}
	if err != nil || !exists {
		return err
	}
	out := bufio.NewWriterSize(to, 64<<10)
	var line []byte
	err = s.cfg.Engine.Each(ctx, tenant, func(id object.ID, it *store.Item) error {
		line = dump.Append(line[:0], id, it)
		_, err := out.Write(line)
		return err
	})
	if err != nil {
		return err
	}
	return out.Flush()
}

// Import stores the keys of lines that Export has written, and returns their number. All of them are stored or, after
// an error, none. Keys that have expired are left out. The error of a line is a [*dump.LineError].
func (s *Stores) Import(ctx context.Context, op Operator, tenant object.Tenant, from io.Reader) (n int64, err error) {
	if _, err := s.exists(tenant); err != nil {
		return 0, err
	}
	f, err := s.temporary() // the transaction must not wait for the client
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // it is removed
	if err := os.Remove(f.Name()); err != nil {
		return 0, err
	}
	keys, newest, err := s.receive(f, from, tenant)
	if err != nil {
		return 0, err
	}
	if err := s.recordTenant(op, "import", tenant, fmt.Sprintf("%d keys", keys)); err != nil || keys == 0 {
		return 0, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	lines := dump.NewReader(f, tenant)
	return s.cfg.Engine.Import(ctx, tenant, &sqlite.Import{
		Limits: s.cfg.Limits,
		Above:  newest,
		Next: func() (object.ID, *store.Item, error) {
			if err := ctx.Err(); err != nil {
				return "", nil, err
			}
			return lines.Next()
		},
	})
}

// receive checks lines and copies them into a file. It returns their number and the greatest version.
func (s *Stores) receive(to *os.File, from io.Reader, tenant object.Tenant) (keys, newest int64, err error) {
	out := bufio.NewWriterSize(to, 64<<10)
	lines := dump.NewReader(io.TeeReader(from, out), tenant)
	latest := time.Now().Add(store.MaxTTL).UnixMilli()
	bytes := int64(0)
	for {
		id, it, err := lines.Next()
		if errors.Is(err, io.EOF) {
			return keys, newest, out.Flush()
		}
		if err != nil {
			return 0, 0, err
		}
		limits := s.cfg.Limits(id).WithDefaults()
		bytes += int64(len(it.Key)+len(it.Value)) + store.ItemBytes
		switch {
		case len(it.Value) > limits.ValueBytes:
			err = object.Errorf(object.CodeTooLarge, "the value is %d bytes, at most %d (store_value)", len(it.Value),
				limits.ValueBytes)
		case it.Expires > latest:
			err = invalid("the key expires in more than 100 years")
		case bytes > limits.TenantBytes:
			err = store.Full("tenant", "store", limits.TenantBytes)
		}
		if err != nil {
			return 0, 0, &dump.LineError{Line: lines.Line(), Err: err}
		}
		keys++
		newest = max(newest, it.Version)
	}
}
