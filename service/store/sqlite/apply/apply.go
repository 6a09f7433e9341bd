// Package apply applies batches in a transaction of SQLite: versions, conditions, quotas, answers and expiry.
//
// The writer of a file begins and ends the transactions, and checks first that it owns the store.
package apply

import (
	"bytes"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/service/store"
)

// Statements are the prepared statements of a writer.
type Statements struct {
	Begin, Commit, Rollback, Checkpoint *Stmt

	Owner                      *Stmt // reads the row of the owner
	setTotals                  *Stmt
	row, put, remove           *Stmt
	usage, setUsage            *Stmt
	seen, putSeen, removeSeen  *Stmt
	expiredRows, expiredAnswer *Stmt
}

// all returns the fields and the texts of the statements. selectOwner is the text of Owner.
func (s *Statements) all(selectOwner string) map[**Stmt]string {
	return map[**Stmt]string{
		&s.Begin:      `BEGIN IMMEDIATE`,
		&s.Commit:     `COMMIT`,
		&s.Rollback:   `ROLLBACK`,
		&s.Checkpoint: `PRAGMA wal_checkpoint(PASSIVE)`,
		&s.Owner:      selectOwner,
		&s.setTotals:  `UPDATE owner SET writes = ?, bytes = ?, keys = ?, latest = ?`,
		&s.row:        `SELECT value, version, expires FROM kv WHERE object = ? AND key = ?`,
		&s.put: `INSERT INTO kv (object, key, value, version, expires) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET value = excluded.value, version = excluded.version, expires = excluded.expires`,
		&s.remove: `DELETE FROM kv WHERE object = ? AND key = ?`,
		&s.usage:  `SELECT bytes, keys, answers FROM usage WHERE object = ?`,
		&s.setUsage: `INSERT INTO usage (object, bytes, keys, answers) VALUES (?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET bytes = excluded.bytes, keys = excluded.keys, answers = excluded.answers`,
		&s.seen: `SELECT sum, state, length(reply), expires FROM seen WHERE object = ? AND principal = ? AND key = ?`,
		&s.putSeen: `INSERT INTO seen (object, principal, key, sum, state, exception, reply, expires)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET sum = excluded.sum, state = excluded.state, exception = excluded.exception,
			reply = excluded.reply, expires = excluded.expires`,
		&s.removeSeen: `DELETE FROM seen WHERE object = ? AND principal = ? AND key = ?`,
		&s.expiredRows: `SELECT object, '', key, octet_length(value) FROM kv WHERE expires > 0 AND expires <= ?
			LIMIT ?`,
		&s.expiredAnswer: `SELECT object, principal, key, length(reply) FROM seen WHERE expires <= ? LIMIT ?`,
	}
}

// Prepare prepares the statements. selectOwner is the text of Owner.
func (s *Statements) Prepare(conn driver.ConnPrepareContext, selectOwner string) error {
	for to, text := range s.all(selectOwner) {
		var err error
		if *to, err = PrepareStmt(conn, text); err != nil {
			return errors.Join(err, s.Close())
		}
	}
	return nil
}

// Close releases the statements.
func (s *Statements) Close() (err error) {
	for st := range s.all("") {
		if *st != nil {
			err = errors.Join(err, (*st).Close())
			*st = nil
		}
	}
	return err
}

// Totals are those of a store.
type Totals struct {
	Writes int64 // so far: the source of versions
	Bytes  int64 // of keys and answers
	Keys   int64
}

// Transaction applies batches in one open transaction of SQLite.
type Transaction struct {
	*Statements
	now     int64
	totals  *Totals
	cache   *Cache
	objects map[object.ID]*objectUsage
	// Changed reports that a batch has changed the file.
	Changed bool
}

// objectUsage is a row of table usage.
type objectUsage struct {
	bytes, keys, answers int64
	exists               bool // it is in the file
	changed              bool
}

// New returns the state of a transaction that begins at a time, in milliseconds since 1970. It changes totals.
func New(s *Statements, totals *Totals, c *Cache, now int64) *Transaction {
	return &Transaction{
		Statements: s,
		now:        now,
		totals:     totals,
		cache:      c,
		objects:    map[object.ID]*objectUsage{},
	}
}

// load returns the usage of an object.
func (t *Transaction) load(id object.ID) (*objectUsage, error) {
	if u := t.objects[id]; u != nil {
		return u, nil
	}
	u := &objectUsage{}
	if cached, ok := t.cache.usage[id]; ok {
		*u = cached
		t.objects[id] = u
		return u, nil
	}
	err := t.usage.Each(func(r []driver.Value) error {
		u.exists = true
		return Scan(r, &u.bytes, &u.keys, &u.answers)
	}, string(id))
	if err != nil {
		return nil, err
	}
	t.objects[id] = u
	return u, nil
}

// add changes the usage of an object and of the tenant.
func (t *Transaction) add(u *objectUsage, bytes, keys, answers int64) {
	u.bytes += bytes
	u.keys += keys
	u.answers += answers
	if !u.exists || bytes != 0 || keys != 0 || answers != 0 {
		u.changed = true
	}
	t.totals.Bytes += bytes
	t.totals.Keys += keys
	t.Changed = true
}

// Finish writes the usage of the changed objects and the totals.
func (t *Transaction) Finish() error {
	for id, u := range t.objects {
		if !u.changed {
			continue
		}
		if err := t.setUsage.Exec(string(id), u.bytes, u.keys, u.answers); err != nil {
			return err
		}
		u.exists, u.changed = true, false
		t.cache.putUsage(id, *u)
	}
	return t.setTotals.Exec(t.totals.Writes, t.totals.Bytes, t.totals.Keys, t.now)
}

// Scan copies the columns of a row: to an *int64, *string or *[]byte.
func Scan(row []driver.Value, to ...any) error {
	for i, v := range row {
		ok := false
		switch p := to[i].(type) {
		case *int64:
			*p, ok = v.(int64)
		case *string:
			*p, ok = v.(string)
		case *[]byte:
			switch v := v.(type) {
			case string:
				*p, ok = []byte(v), true
			case []byte:
				*p, ok = bytes.Clone(v), true
			}
		}
		if !ok {
			return fmt.Errorf("column %d of a row is a %T", i, v)
		}
	}
	return nil
}

// row is a key during a batch.
type row struct {
	value   []byte // nil: the key is missing
	version int64  // 0: the key is missing
	expires int64
	stored  int64 // bytes that the key takes in the file, 0 if it has no row there
	had     bool  // it has a row in the file
	written bool
}

// readRow returns a key as it is in the file.
func (t *Transaction) readRow(id object.ID, key string) (*row, error) {
	at := place{id, key}
	r, cached := t.cache.row(at)
	if !cached {
		err := t.row.Each(func(row []driver.Value) error {
			r.had = true
			return Scan(row, &r.value, &r.version, &r.expires)
		}, string(id), key)
		if err != nil {
			return nil, err
		}
		if r.had {
			r.stored = itemBytes(key, r.value)
		}
		t.cache.putRow(at, r)
	}
	if r.had && store.Expired(r.expires, t.now) {
		r.value, r.version, r.expires = nil, 0, 0
	}
	return &r, nil
}

func itemBytes(key string, value []byte) int64 { return int64(len(key)+len(value)) + store.ItemBytes }

// Apply applies a batch. failed is its own error: nothing of it is applied then. err is an error of SQLite, after which
// the transaction must be rolled back.
func (t *Transaction) Apply(b *store.Batch) (result store.Result, failed, err error) {
	plan := &plan{t: t, b: b, rows: map[string]*row{}, writes: t.totals.Writes}
	if plan.usage, err = t.load(b.Object); err != nil {
		return result, nil, err
	}
	for _, step := range []func() (failed, err error){plan.check, plan.checkAnswer, plan.apply, plan.checkQuota} {
		if failed, err := step(); failed != nil || err != nil {
			return store.Result{}, failed, err
		}
	}
	if err := plan.write(); err != nil {
		return store.Result{}, nil, err
	}
	result.Integers = plan.integers
	result.Version = plan.writes
	result.Room = store.Room(b.Limits.WithDefaults(), plan.usage.bytes, t.totals.Bytes)
	return result, nil, nil
}

// plan is the effect of one batch. Nothing is written before it is known that the batch succeeds.
type plan struct {
	t        *Transaction
	b        *store.Batch
	usage    *objectUsage
	rows     map[string]*row
	order    []string // keys of rows in the order of their first write
	writes   int64
	integers []int64

	bytes, keys, answers int64 // changes of the usage
	former               int64 // bytes of the answer that the batch replaces; 0: none
}

func (p *plan) row(key string) (*row, error) {
	if r := p.rows[key]; r != nil {
		return r, nil
	}
	r, err := p.t.readRow(p.b.Object, key)
	if err == nil {
		p.rows[key] = r
	}
	return r, err
}

// check compares the required versions with those before the batch.
func (p *plan) check() (failed, err error) {
	for _, c := range p.b.Checks {
		r, err := p.row(c.Key)
		if err != nil || r.version != c.Version {
			return store.Conflict(c.Key), err
		}
	}
	for i := range p.b.Writes {
		w := &p.b.Writes[i]
		r, err := p.row(w.Key)
		if err != nil || w.If != store.AnyVersion && r.version != w.If {
			return store.Conflict(w.Key), err
		}
	}
	return nil, nil
}

// apply computes the rows after the batch.
func (p *plan) apply() (failed, err error) {
	for i := range p.b.Writes {
		w := &p.b.Writes[i]
		r := p.rows[w.Key] // check has read it
		if !r.written {
			r.written = true
			p.order = append(p.order, w.Key)
		}
		p.writes++
		switch w.Op {
		case store.Put:
			r.value, r.expires = w.Value, store.Expiry(p.t.now, w.TTL)
		case store.Increment:
			value, n, err := store.Add(w.Key, r.value, w.Delta)
			if err != nil {
				return err, nil
			}
			r.value = value
			p.integers = append(p.integers, n)
		case store.Delete:
			r.value, r.expires = nil, 0
		}
		r.version = p.writes
	}
	for _, key := range p.order {
		r := p.rows[key]
		p.bytes -= r.stored
		if r.had {
			p.keys--
		}
		if r.value != nil {
			p.bytes += itemBytes(key, r.value)
			p.keys++
		}
	}
	return nil, nil
}

// checkAnswer checks that the call of the batch has not been executed, and counts its answer.
func (p *plan) checkAnswer() (failed, err error) {
	a := p.b.Answer
	if a == nil {
		return nil, nil
	}
	old, err := p.readAnswer()
	switch {
	case err != nil:
		return nil, err
	case old.bytes == 0:
		if p.usage.answers >= store.MaxAnswers {
			return store.TooManyAnswers(p.b.Object), nil
		}
		p.answers++
	case !store.Expired(old.expires, p.t.now) && (old.state != store.Begun || string(old.sum) != string(a.Sum[:])):
		return store.Repeated(a.Call), nil
	default:
		p.former = old.bytes
		p.bytes -= p.former
	}
	p.bytes += a.Bytes()
	return nil, nil
}

// answer is an answer in the file.
type answer struct {
	sum     []byte
	state   store.AnswerState
	expires int64
	bytes   int64 // in the file, 0 without an answer
}

// readAnswer returns the answer of the batch's call as it is in the file.
func (p *plan) readAnswer() (out answer, err error) {
	principal, key := string(p.b.Answer.Call.Principal), p.b.Answer.Call.Key
	err = p.t.seen.Each(func(row []driver.Value) error {
		var state, length int64
		err := Scan(row, &out.sum, &state, &length, &out.expires)
		out.state, out.bytes = store.AnswerState(state), answerBytes(principal, key, length)
		return err
	}, string(p.b.Object), principal, key)
	return out, err
}

func answerBytes(principal, key string, reply int64) int64 {
	return int64(len(principal)+len(key)) + reply + store.AnswerBytes
}

// checkQuota compares the usage after the batch with the quotas. Before it fails, it removes expired keys.
func (p *plan) checkQuota() (failed, err error) {
	lim := p.b.Limits.WithDefaults()
	quota := func() error {
		return store.CheckQuota(lim, p.usage.bytes+p.bytes, p.t.totals.Bytes+p.bytes, p.bytes)
	}
	if failed = quota(); failed == nil {
		return nil, nil
	}
	n, err := p.t.Purge(store.MaxWrites)
	if n == 0 || err != nil {
		return failed, err
	}
	for _, key := range p.order { // the purge may have removed rows of the batch
		r := p.rows[key]
		fresh, err := p.t.readRow(p.b.Object, key)
		if err != nil {
			return nil, err
		}
		if r.had && !fresh.had {
			p.bytes += r.stored
			p.keys++
			r.had, r.stored = false, 0
		}
	}
	if p.former > 0 { // and the answer that it replaces
		if old, err := p.readAnswer(); err != nil {
			return nil, err
		} else if old.bytes == 0 {
			p.bytes += p.former
			p.answers++
		}
	}
	return quota(), nil
}

// write writes the rows and the answer.
func (p *plan) write() error {
	t, id := p.t, string(p.b.Object)
	for _, key := range p.order {
		r := p.rows[key]
		var err error
		switch {
		case r.value != nil:
			err = t.put.Exec(id, key, string(r.value), r.version, r.expires)
		case r.had:
			err = t.remove.Exec(id, key)
		}
		if err != nil {
			return err
		}
		written := row{value: r.value, version: r.version, expires: r.expires, had: r.value != nil}
		if written.had {
			written.stored = itemBytes(key, r.value)
		} else {
			written.version = 0
		}
		t.cache.putRow(place{p.b.Object, key}, written)
	}
	if a := p.b.Answer; a != nil {
		reply := a.Payload
		if reply == nil {
			reply = []byte{}
		}
		err := t.putSeen.Exec(id, string(a.Call.Principal), a.Call.Key, a.Sum[:], int64(a.State), a.Exception, reply,
			store.Expiry(t.now, a.TTL))
		if err != nil {
			return err
		}
	}
	t.totals.Writes = p.writes
	if len(p.order) > 0 || p.b.Answer != nil {
		t.add(p.usage, p.bytes, p.keys, p.answers)
	}
	return nil
}

// expired is a row that has expired.
type expired struct {
	object, principal, key string
	bytes                  int64
}

// Purge removes at most n keys and n answers that have expired, and returns the number of the larger list.
func (t *Transaction) Purge(n int) (removed int, err error) {
	rows, err := t.collect(t.expiredRows, n)
	if err != nil {
		return 0, err
	}
	for _, x := range rows {
		if err := t.remove.Exec(x.object, x.key); err != nil {
			return 0, err
		}
		t.cache.remove(place{object.ID(x.object), x.key})
		u, err := t.load(object.ID(x.object))
		if err != nil {
			return 0, err
		}
		t.add(u, -(int64(len(x.key)) + x.bytes + store.ItemBytes), -1, 0)
	}
	answers, err := t.collect(t.expiredAnswer, n)
	if err != nil {
		return 0, err
	}
	for _, x := range answers {
		if err := t.removeSeen.Exec(x.object, x.principal, x.key); err != nil {
			return 0, err
		}
		u, err := t.load(object.ID(x.object))
		if err != nil {
			return 0, err
		}
		t.add(u, -answerBytes(x.principal, x.key, x.bytes), 0, -1)
	}
	return max(len(rows), len(answers)), nil
}

// collect returns at most n expired rows.
func (t *Transaction) collect(from *Stmt, n int) (list []expired, err error) {
	err = from.Each(func(row []driver.Value) error {
		var x expired
		err := Scan(row, &x.object, &x.principal, &x.key, &x.bytes)
		list = append(list, x)
		return err
	}, t.now, int64(n))
	return list, err
}
