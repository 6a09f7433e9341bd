package worker

import (
	"io"
	"runtime"
	"testing"
	"weak"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// TestIdleJobsHoldNoResult: a job whose result was borrowed and then refused goes back to the
// pool without it.
func TestIdleJobsHoldNoResult(t *testing.T) {
	w := &process{out: link.NewWriter(io.Discard), running: map[uint64]*job{}}
	w.jobs.Add(1)
	j := newJob(w, 1)
	j.beginReply(codec.ByID(codec.Msgpack))
	text := make([]byte, link.Large)
	kept := weak.Make(&text[0])
	if err := j.encoder.Bytes(text); err != nil {
		t.Fatal(err)
	}
	runtime.KeepAlive(text)
	j.fail(object.Errorf(object.CodeTooLarge, "the result is too long"))
	runtime.GC() // what is in the pool outlives the first
	if kept.Value() != nil {
		t.Error("an idle job holds the result that it did not send")
	}
}
