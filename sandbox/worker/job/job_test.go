package job

import (
	"runtime"
	"testing"
	"weak"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/wire"
)

// discard drops the frames of jobs.
type discard struct{}

func (discard) Post([]byte)       {}
func (discard) Reply(Reply) error { return nil }

// newJob returns a job in a new table.
func newJob(id uint64) *Job {
	t := NewTable(discard{}, nil)
	j := t.New(id)
	t.Add(j)
	return j
}

// TestIdleJobsHoldNoResult refuses a job whose result is borrowed. The job in the pool does not keep the result.
func TestIdleJobsHoldNoResult(t *testing.T) {
	j := newJob(1)
	j.beginReply(pyro.FormatOf(wire.Pyro5, codec.ByID(codec.Msgpack)))
	text := make([]byte, link.Large)
	kept := weak.Make(&text[0])
	if err := j.encoder.Bytes(text); err != nil {
		t.Fatal(err)
	}
	runtime.KeepAlive(text)
	j.Refuse(object.Errorf(object.CodeTooLarge, "the result is too long"))
	runtime.GC() // a pool keeps its contents over one collection
	if kept.Value() != nil {
		t.Error("an idle job holds the result that it did not send")
	}
}

// TestRequestDoesNotAllocate prepares calls in a job that was used before.
func TestRequestDoesNotAllocate(t *testing.T) {
	j := newJob(1)
	defer j.Release()
	j.frame.B = make([]byte, 0, 1<<10) // of the reply before
	f := pyro.FormatOf(wire.Pyro5, codec.ByID(codec.Serpent))
	if n := testing.AllocsPerRun(100, func() {
		j.beginReply(f)
		j.request(f)
	}); n != 0 {
		t.Errorf("a call allocates %v times before it runs", n)
	}
}
