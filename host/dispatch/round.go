package dispatch

import "github.com/hearthhost/hearth/audit"

// Loop is an event loop that starts calls, see package loop.
type Loop interface {
	// Post runs f in the loop's goroutine.
	Post(f func())
	// Block runs f, which may wait. If it returns false, another goroutine is the loop's now.
	Block(f func()) (still bool)
}

// Round collects the calls that a loop starts together. One write puts their records into the audit log, and none of
// them runs before that. It belongs to the loop's goroutine.
type Round struct {
	on    Loop
	later func(f func())

	write *write   // of the records; nil before the first one
	calls []*Async // authorized, and not begun
	begun []*Async // memory for the next calls
}

// write is the write of a round's records.
type write struct {
	log     *audit.Log
	records *audit.Round
	err     error
	run     func() // commits the records, made once
}

// NewRound returns an empty round. later runs a function at the end of the loop's round, after Commit; see
// [object.Starter].
func NewRound(on Loop, later func(f func())) *Round { return &Round{on: on, later: later} }

// add stages the record of a permitted call.
func (r *Round) add(log *audit.Log, rec *audit.Record) {
	if r.write == nil || r.write.log != log && len(r.calls) == 0 {
		w := &write{log: log, records: log.NewRound()}
		w.run = func() { w.err = w.records.Commit() }
		r.write = w
	}
	r.write.records.Add(rec)
}

// Commit writes the records and starts the calls. If the write fails, no call of the round runs, and each one has the
// error as its result. If the write takes long, another goroutine becomes the loop's, and Commit returns false; it
// starts the calls there when the write has ended.
func (r *Round) Commit() (still bool) {
	for len(r.calls) > 0 { // a completion may start the next call of its connection
		calls := r.calls
		r.calls, r.begun = r.begun[:0], nil
		var err error
		if w := r.write; w != nil {
			still := r.on.Block(w.run)
			err = w.err
			if !still {
				r.on.Post(func() { r.start(calls, err) })
				return false
			}
		}
		r.start(calls, err)
		r.begun = calls[:0]
	}
	return true
}

// start begins calls whose records are written, or could not be written.
func (r *Round) start(calls []*Async, unwritten error) {
	for i, a := range calls {
		a.begin(unwritten, r)
		calls[i] = nil
	}
}

// Abandon leaves the write that has not ended to its goroutine. The loop's next goroutine calls it first.
func (r *Round) Abandon() { r.write = nil }
