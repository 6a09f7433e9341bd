package dispatch

import (
	"context"
	"errors"
	"testing"

	"github.com/hearthhost/hearth/host/admit"
	"github.com/hearthhost/hearth/host/route"
	"github.com/hearthhost/hearth/host/snapshot"
	"github.com/hearthhost/hearth/host/usage"
	"github.com/hearthhost/hearth/object"
)

// describer is a backend that calls replace, if set, before it returns a description.
type describer struct {
	object.Backend
	replace func()
	err     error
}

func (b *describer) Describe(context.Context, object.ID) (*object.Description, error) {
	if b.replace != nil {
		b.replace()
	}
	if b.err != nil {
		return nil, b.err
	}
	return &object.Description{Members: []object.Member{{Name: "total", Get: true}}}, nil
}

// TestDescribeRetiredBackend has a reload retire a backend during Describe. The dispatcher describes the object once
// more with the current backend, if there is one. Callers never get CodeRetired.
func TestDescribeRetiredBackend(t *testing.T) {
	for name, tc := range map[string]struct {
		replacement object.Backend // nil: the reload removed the object
		want        error
	}{
		"replaced":      {&describer{}, nil},
		"removed":       {nil, ErrUnknown},
		"retired again": {&describer{err: object.ErrRetired}, object.ErrShutdown},
		"other error":   {&describer{err: object.ErrStreamGone}, object.ErrStreamGone},
	} {
		t.Run(name, func(t *testing.T) {
			before := flowSnapshot(t)
			snap := before
			retired := &describer{err: object.ErrRetired}
			routes := map[object.ID]route.Route{"acme.counter": {Backend: retired}}
			before.Routes = route.New(routes)
			retired.replace = func() {
				after := *before
				after.Routes = route.New(nil)
				if tc.replacement != nil {
					after.Routes = route.New(map[object.ID]route.Route{"acme.counter": {Backend: tc.replacement}})
				}
				snap = &after
			}
			var counters usage.Registry
			counters.Init()
			d := New(Config{
				Snapshot: func() *snapshot.Snapshot { return snap },
				Queue:    new(admit.FairQueue),
				Usage:    &counters,
			})
			desc, err := d.Describe(t.Context(), &object.Caller{Principal: "alice"}, "acme.counter")
			if !errors.Is(err, tc.want) {
				t.Fatalf("Describe() = %v, want %v", err, tc.want)
			}
			if err == nil && len(desc.Members) != 1 {
				t.Errorf("Describe() returned the members %v, want one", desc.Members)
			}
		})
	}
}
