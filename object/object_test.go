package object_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
)

func TestParseID(t *testing.T) {
	for _, s := range []string{
		"acme.counter", "acme.shop.cart", "A-1._", "pyro.x", "Pyros.x",
		"a." + strings.Repeat("b", object.MaxIDBytes-2),
	} {
		if id, err := object.ParseID(s); err != nil || string(id) != s {
			t.Errorf("ParseID(%q) = %q, %v", s, id, err)
		}
	}
	for _, s := range []string{
		"", "acme", ".", "acme.", ".counter", "acme..x", "acme.a b", "acme.a/b", "acme.a\x00", "acme.é", "аcme.x",
		"Pyro.Daemon", "Pyro.x.y", "a." + strings.Repeat("b", object.MaxIDBytes-1),
	} {
		if id, err := object.ParseID(s); err == nil {
			t.Errorf("ParseID(%q) = %q, want an error", s, id)
		}
	}
}

func TestPartsOfAnID(t *testing.T) {
	id := object.ID("acme.shop.cart")
	if id.Tenant() != "acme" || id.Name() != "shop.cart" || id.Principal() != "object:acme.shop.cart" {
		t.Errorf("%q, %q, %q", id.Tenant(), id.Name(), id.Principal())
	}
	if back, ok := id.Principal().Object(); back != id || !ok {
		t.Errorf("the object of %q = %q, %v", id.Principal(), back, ok)
	}
	for _, p := range []object.Principal{"", "alice", "objects", object.Anonymous} {
		if _, ok := p.Object(); ok {
			t.Errorf("%q is an object", p)
		}
	}
}

func TestCallable(t *testing.T) {
	for _, m := range []object.Method{"a", "add", "Add2", "a_b", object.Method(strings.Repeat("a", 255)), "__len__",
		"__getitem__", "__setitem__", "__delitem__", "__iter__", "__contains__"} {
		if !m.Callable() {
			t.Errorf("%q is not callable", m)
		}
	}
	for _, m := range []object.Method{
		"", "_private", "__class__", "__init__", "__getattr__", "__setattr__", "__call__", "__len", "_",
		"2nd", "a.b", "a b", "a-b", "a=", "é", "аdd", "a\x00",
		object.Method(strings.Repeat("a", 256)),
	} {
		if m.Callable() {
			t.Errorf("%q is callable", m)
		}
	}
}

// TestRetired: the dispatcher calls Retired after every call, so it must not allocate.
func TestRetired(t *testing.T) {
	wrapped := fmt.Errorf("calling: %w", object.ErrRetired)
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{object.ErrRetired, true},
		{wrapped, true},
		{object.ErrShutdown, false},
		{errors.New("anything"), false},
	} {
		if got := object.Retired(c.err); got != c.want {
			t.Errorf("Retired(%v) = %v, want %v", c.err, got, c.want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { object.Retired(wrapped) }); n != 0 {
		t.Errorf("Retired allocates %v times", n)
	}
}

func TestCodeOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want object.Code
	}{
		{nil, object.CodeOK},
		{object.Errorf(object.CodeDenied, "no"), object.CodeDenied},
		{fmt.Errorf("calling: %w", object.ErrRetired), object.CodeRetired},
		{object.ErrShutdown, object.CodeUnavailable},
		{&object.Error{Code: object.CodeRaised, Err: context.Canceled}, object.CodeRaised},
		{fmt.Errorf("waiting: %w", context.DeadlineExceeded), object.CodeDeadline},
		{context.Canceled, object.CodeCanceled},
		{errors.New("anything"), object.CodeInternal},
	} {
		if got := object.CodeOf(c.err); got != c.want {
			t.Errorf("CodeOf(%v) = %v, want %v", c.err, got, c.want)
		}
	}
}

func TestErrorTexts(t *testing.T) {
	cause := errors.New("the cause")
	for want, e := range map[string]*object.Error{
		"denied":                   {Code: object.CodeDenied},
		"denied: no":               {Code: object.CodeDenied, Msg: "no"},
		"internal: the cause":      {Code: object.CodeInternal, Err: cause},
		"too_large: it: the cause": {Code: object.CodeTooLarge, Msg: "it", Err: cause},
		"code(99)":                 {Code: 99},
	} {
		if e.Error() != want || !errors.Is(e, e.Err) && e.Err != nil {
			t.Errorf("%q, want %q", e.Error(), want)
		}
	}
}

// TestLimits: a zero field takes the value of the base, then the default, for every limit.
func TestLimits(t *testing.T) {
	var base object.Limits
	defaults := base.WithDefaults()
	of := reflect.TypeFor[object.Limits]()
	for i := range of.NumField() {
		name := of.Field(i).Name
		if reflect.ValueOf(defaults).Field(i).Int() <= 0 {
			t.Errorf("%s has no default", name)
		}
		reflect.ValueOf(&base).Elem().Field(i).SetInt(int64(100 + i))
	}
	if got := (object.Limits{}).WithBase(base); got != base {
		t.Errorf("nothing over %+v is %+v", base, got)
	}
	if got := base.WithBase(defaults); got != base {
		t.Errorf("%+v over the defaults is %+v", base, got)
	}
	if got := base.WithDefaults(); got != base {
		t.Errorf("%+v or defaults is %+v", base, got)
	}
	most := object.Limits{SourceBytes: 1 << 30, ArgumentBytes: 1 << 30, ResultBytes: 1 << 30}.WithDefaults()
	largest := object.MaxMessageBytes
	if most.SourceBytes != object.MaxSourceBytes || most.ArgumentBytes != largest || most.ResultBytes != largest {
		t.Errorf("limits above their maxima: %+v", most)
	}
	if l := (object.Limits{Steps: 7}).WithDefaults(); l.LoadSteps != 7 {
		t.Errorf("loading takes %d steps, want those of a call", l.LoadSteps)
	}
}

func TestIntern(t *testing.T) {
	last := object.Method("add")
	name := []byte("add")
	if n := testing.AllocsPerRun(100, func() { last = object.Intern(name, last) }); n != 0 || last != "add" {
		t.Errorf("the same name as last: %q, %v allocations", last, n)
	}
	if got := object.Intern([]byte("total"), last); got != "total" {
		t.Errorf("another name: %q", got)
	}
}
