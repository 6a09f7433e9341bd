package audit

import "time"

// Round collects the records of decisions, which one write puts into the log: all of them or none. Its records have
// successive numbers and the time of the first [Round.Add]. [Log.Write] is a round of one record. Not safe for
// concurrent use; rounds of several goroutines may share a write.
type Round struct {
	log    *Log
	start  []byte   // time of the records as text, the start of each line
	lines  []byte   // each line is the inside of a JSON object and ends with '\n'
	staged []staged // one for each line
}

// staged is the position of a record in a round.
type staged struct {
	end    int // offset behind its line
	permit bool
}

// keepRound bounds the bytes that an empty round holds.
const keepRound = 256 << 10

// NewRound returns an empty round.
func (l *Log) NewRound() *Round { return &Round{log: l} }

// Add stages a record for the next Commit. Of permits, [Config.Permits] may leave out some.
func (r *Round) Add(rec *Record) {
	if !r.log.records(rec) {
		return
	}
	if len(r.staged) == 0 {
		r.start = appendTime(append(r.start[:0], `"time":"`...), time.Now())
		r.start = append(r.start, '"')
	}
	r.addLine(rec)
	r.staged = append(r.staged, staged{end: len(r.lines), permit: rec.Permit})
}

// addLine appends the line of a record.
func (r *Round) addLine(rec *Record) {
	r.lines = append(r.lines, r.start...)
	r.lines = append(rec.append(r.lines), '\n')
}

// Commit writes the staged records and empties the round. It returns when they are written. With [Config.Drop] it does
// not wait. The error is [ErrUnwritten]: none of the permitted calls may run. Denials that cannot be written now are
// then queued, unless the write failed.
func (r *Round) Commit() error {
	defer r.reset()
	n := len(r.staged)
	switch {
	case n == 0:
		return nil
	case r.log.cfg.Drop:
		return r.log.put(noWait, r.lines, n)
	}
	err := r.log.put(decision, r.lines, n)
	if err != errNotQueued { //nolint:errorlint // it is not wrapped
		return err
	}
	denials, n := r.denials()
	if n > 0 {
		_ = r.log.put(noWait, denials, n) // these calls are denied in any case
	}
	if n < len(r.staged) {
		return ErrUnwritten
	}
	return nil
}

// post is Commit without waiting for the disk.
func (r *Round) post() {
	if len(r.staged) > 0 {
		_ = r.log.put(noWait, r.lines, len(r.staged))
	}
	r.reset()
}

// denials removes the lines of permits. It returns the other lines and their number.
func (r *Round) denials() (lines []byte, n int) {
	lines = r.lines[:0] // a line only moves to the front
	start := 0
	for _, s := range r.staged {
		if !s.permit {
			lines = append(lines, r.lines[start:s.end]...)
			n++
		}
		start = s.end
	}
	return lines, n
}

func (r *Round) reset() {
	r.lines, r.staged = r.lines[:0], r.staged[:0]
	if cap(r.lines) > keepRound {
		r.lines, r.staged = nil, nil
	}
}
