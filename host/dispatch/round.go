package dispatch

import "github.com/hearthhost/hearth/audit"

// Round collects the calls that a loop starts together. One write puts their records into the audit log, and none of
// them runs before that. It belongs to the loop's goroutine.
type Round struct {
	on    any // the loop
	later func(f func())

	log     *audit.Log // of records
	records *audit.Round
	calls   []*Async // authorized, and not begun
	begun   []*Async // memory for the next calls
}

// NewRound returns an empty round. later runs a function at the end of the loop's round, after Commit; see
// [object.Starter]. on is the loop that the round passes to the completions of its calls.
func NewRound(on any, later func(f func())) *Round { return &Round{on: on, later: later} }

// add stages the record of a permitted call.
func (r *Round) add(log *audit.Log, rec *audit.Record) {
	if r.log != log && len(r.calls) == 0 {
		r.log, r.records = log, log.NewRound()
	}
	r.records.Add(rec)
}

// Commit writes the records and starts the calls. If the write fails, no call of the round runs, and each one has the
// error as its result.
func (r *Round) Commit() {
	for len(r.calls) > 0 { // a completion may start the next call of its connection
		calls := r.calls
		r.calls, r.begun = r.begun[:0], nil
		var err error
		if r.records != nil {
			err = r.records.Commit()
		}
		for i, a := range calls {
			a.begin(err, r)
			calls[i] = nil
		}
		r.begun = calls[:0]
	}
}
