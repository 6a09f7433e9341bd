package sandbox

import (
	"testing"
	"time"

	"github.com/hearthhost/hearth/object"
)

// TestWallWithoutAlarm: the wall time ends a call though nobody rings, which happens while the
// script has the only processor; and who has to know of a long call is told once.
func TestWallWithoutAlarm(t *testing.T) {
	long := 0
	p, err := Load(t.Context(), Config{ID: "acme.x", Env: told{n: &long}, Limits: object.Limits{Steps: 1 << 40, Wall: 50 * time.Millisecond},
		Source: []byte(`local X = hearth.object { instance = "single" } function X:init() while true do end end return X`)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.NewState(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	s.meter.alarm = &alarm{timer: time.AfterFunc(time.Hour, func() {})} // it never rings
	if err := s.NewInstance(t.Context(), nil); object.CodeOf(err) != object.CodeDeadline {
		t.Errorf("a loop without end: %v, want the limit of wall time", err)
	}
	if long != 1 {
		t.Errorf("told %d times of a long call, want once", long)
	}
}

// told counts how often it is told of a long call.
type told struct {
	nowhere
	n *int
}

func (e told) Long() { *e.n++ }
