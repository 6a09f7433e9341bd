package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"math/big"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins/rpc"
	"github.com/hearthhost/hearth/signature"
)

type shop struct{}

type base struct {
	ID int `json:"id"`
}

type item struct {
	base
	Name  string   `json:"name" doc:"what is sold"`
	Price float64  `json:"price"`
	Tags  []string `json:"tags,omitempty"`
	Next  *item    `json:"next"`
	Skip  string   `json:"-"`
	local int
}

type order struct {
	Items []item         `json:"items"`
	Note  *string        `json:"note"`
	Extra map[string]int `json:"extra,omitempty" doc:"anything else"`
}

func (shop) Add(_ context.Context, k int, note string) (int, error)      { return k + len(note), nil }
func (shop) Plain(int, string) bool                                      { return true }
func (shop) Order(o order) (float64, error)                              { return float64(len(o.Items)), nil }
func (shop) Update(o order, force bool) *item                            { return nil }
func (shop) Sum(first int, rest ...int) (n int)                          { return first + len(rest) }
func (shop) With(k *int, kw Kwargs) int                                  { return len(kw) }
func (shop) List() iter.Seq2[item, error]                                { return nil }
func (shop) Kinds([]byte, time.Time, *big.Int, Date, netip.Addr, Tuple)  {}
func (shop) More(map[string][]int, []any, Dict, [2]bool, any, [][]order) {}
func (shop) Total() int                                                  { return 0 }
func (shop) SetTotal(int)                                                {}

func shopObject() *Object {
	return New(Single, "Sells.", func() shop { return shop{} }).
		Method("add", shop.Add, "Adds.", "k the amount", "note?").
		Method("plain", shop.Plain, "").
		Method("order", shop.Order, "").
		Method("update", shop.Update, "", "order", "force?").
		Method("sum", shop.Sum, "", "first", "rest").
		Method("with", shop.With, "", "k").
		Method("list", shop.List, "").
		Method("kinds", shop.Kinds, "").
		Method("more", shop.More, "").
		Attribute("total", shop.Total, shop.SetTotal, "")
}

// TestSignatures: signatures have the Go types and the given names.
func TestSignatures(t *testing.T) {
	s, err := newServer([]*Object{shopObject()})
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Describe(t.Context(), &rpc.DescribeRequest{Id: "acme.shop"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"add":    "(k: integer, note?: string): integer",
		"plain":  "(arg1: integer, arg2: string): boolean",
		"order":  "(items: item[], note?: string, extra?: table<string, integer>): number",
		"update": "(order: order, force?: boolean): item?",
		"sum":    "(first: integer, ...: integer): integer",
		"with":   "(k?: integer, kwargs?: any): integer",
		"list":   "(): hearth.stream<item>",
		"kinds":  "(arg1: string, arg2: string, arg3: integer, arg4: string, arg5: string, arg6: any[])",
		"more": "(arg1: table<string, integer[]>, arg2: any[], arg3: table, arg4: boolean[], arg5: any, " +
			"arg6: order[][])",
		"total": "integer",
	}
	for _, m := range r.Objects[0].Members {
		var text string
		if m.Method {
			f := new(signature.Function)
			err = json.Unmarshal(m.Signature, f)
			text = f.String()
		} else {
			value := new(signature.Type)
			err = json.Unmarshal(m.Signature, value)
			text = value.String()
		}
		if err != nil || text != want[m.Name] {
			t.Errorf("%s has the signature %s, want %s (%v)", m.Name, text, want[m.Name], err)
		}
	}
	types := new(signature.Types)
	if err := json.Unmarshal(r.Objects[0].Types, types); err != nil {
		t.Fatal(err)
	}
	if names := types.Names(); !reflect.DeepEqual(names, []string{"item", "order"}) {
		t.Errorf("the named types are %v", names)
	}
	fields := types.Find("item").Fields
	if len(fields) != 5 || fields[0].Name != "id" || fields[1].Doc != "what is sold" || !fields[3].Optional ||
		fields[4].Type.String() != "item?" {
		t.Errorf("the fields of item are %v", fields)
	}
}

// TestRegistration: names that do not fit the function are errors of the program.
func TestRegistration(t *testing.T) {
	for want, register := range map[string]func(o *Object){
		"3 names of parameters":       func(o *Object) { o.Method("a", shop.Plain, "", "a", "b", "c") },
		"two parameters":              func(o *Object) { o.Method("a", shop.Plain, "", "a", "a") },
		`"1" is not a name`:           func(o *Object) { o.Method("a", shop.Plain, "", "1", "b") },
		"1 names of parameters":       func(o *Object) { o.Attribute("a", nil, shop.Sum, "") },
		"the function has 1 argument": func(o *Object) { o.Method("a", shop.Order, "", "a", "b") },
	} {
		func() {
			defer func() {
				if text, _ := recover().(string); !strings.Contains(text, want) {
					t.Errorf("panic %q, want %q", text, want)
				}
			}()
			register(New(Single, "", func() shop { return shop{} }))
		}()
	}
}

// TestBinding: arguments bind and are checked as those of a script. The call of a wrong argument is not executed.
func TestBinding(t *testing.T) {
	o := shopObject()
	for _, tc := range []struct {
		method string
		args   []any
		kw     Kwargs
		want   any // a text is an error
	}{
		{"add", []any{int64(1)}, nil, 1},
		{"add", []any{int64(1), "abc"}, nil, 4},
		{"add", nil, Kwargs{"k": int64(1), "note": "ab"}, 3},
		{"add", []any{int64(1)}, Kwargs{"note": nil}, 1},
		{"add", []any{2.0}, nil, 2},
		{"add", []any{2.5}, nil, "k: expected integer, got number 2.5"},
		{"add", nil, nil, "k: expected integer, got nothing"},
		{"add", []any{nil}, nil, "k: expected integer, got None"},
		{"add", []any{int64(1)}, Kwargs{"k": int64(1)}, "k is given twice: as argument 1 and by name"},
		{"add", []any{int64(1)}, Kwargs{"z": 1, "y": 1}, "no parameter y; the parameters are k, note"},
		{"add", []any{int64(1), "", int64(1)}, nil, "takes 2 arguments, got 3"},
		{"add", []any{"secret"}, nil, "k: expected integer, got string"},
		{"plain", []any{int64(1), []byte("x")}, nil, "arg2: expected string, got bytes"},
		{"plain", []any{int64(1)}, Kwargs{"arg2": "x"}, true},
		{"order", []any{[]any{}}, nil, 0.0},
		{"order", nil, Kwargs{"items": []any{map[string]any{"id": int64(1), "name": "x", "price": int64(2)}}}, 1.0},
		{"order", nil, Kwargs{"items": []any{map[string]any{"id": int64(1), "name": "x"}}},
			"items[1].price: expected number, got nothing"},
		{"order", nil, Kwargs{"items": []any{map[string]any{"id": "x"}}}, "items[1].id: expected integer, got string"},
		{"order", []any{[]any{}, nil, map[string]any{"a": "b"}}, nil, "extra.a: expected integer, got string"},
		{"order", []any{map[string]any{}}, nil, "items: expected item[], got dict"},
		{"sum", []any{int64(1), int64(2), int64(3)}, nil, 3},
		{"sum", []any{int64(1), "x"}, nil, "argument 2: expected integer, got string"},
		{"sum", []any{int64(1)}, Kwargs{"rest": int64(1)}, "no parameter rest; the parameters are first"},
		{"with", nil, Kwargs{"a": 1, "b": 2}, 2},
		{"with", nil, Kwargs{"k": int64(1), "b": 2}, 1},
		{"total", []any{}, nil, 0},
	} {
		f, err := o.lookup(rpc.Kind_KIND_INVOKE, tc.method)
		if err != nil {
			f = o.members[tc.method].get
		}
		got, err := f.call(t.Context(), shop{}, tc.args, tc.kw)
		wantErr, wrong := tc.want.(string)
		m, _ := errors.AsType[mismatch](err)
		if wrong && string(m) != wantErr || !wrong && (err != nil || !reflect.DeepEqual(got, tc.want)) {
			t.Errorf("%s(%v, %v) = %v, %v; want %v", tc.method, tc.args, tc.kw, got, err, tc.want)
		}
	}
	e, ok := errors.AsType[*object.Error](refused("add", "k: no"))
	if !ok || e.Code != object.CodeInvalid || e.Reason != object.ReasonType || e.Msg != "add: k: no" {
		t.Errorf("refused = %v", e)
	}
}

// TestTexts: values that some serializers send as text are converted, and structs are sent as dicts.
func TestTexts(t *testing.T) {
	addr := netip.MustParseAddr("10.0.0.1")
	when := time.Date(2026, 12, 1, 4, 30, 0, 0, time.UTC)
	for _, tc := range []struct {
		v    any
		want any
	}{
		{"abc", []byte("abc")},
		{"2026-12-01T04:30:00", when},
		{"2026-12-01 04:30:00", when},
		{"2026-12-01T04:30:00Z", when},
		{"2026-12-01", Date(739951)},
		{"10.0.0.1", addr},
		{int64(5), big.NewInt(5)},
		{Tuple{true, false}, [2]bool{true, false}},
		{map[string]any{"ID": nil}, struct{ ID *int }{}},
	} {
		to := reflect.New(reflect.TypeOf(tc.want)).Elem()
		if err := convert(to, tc.v, &path{name: "v"}); err != nil || !reflect.DeepEqual(to.Interface(), tc.want) {
			t.Errorf("%v = %v, %v; want %v", tc.v, to, err, tc.want)
		}
	}
	note := "x"
	got := plain([]any{order{Items: []item{{base: base{1}, Name: "a", local: 3}}, Note: &note}, addr, int8(3)})
	want := []any{map[string]any{
		"items": []any{map[string]any{"id": int64(1), "name": "a", "price": 0.0, "next": nil}},
		"note":  "x",
	}, "10.0.0.1", int64(3)}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("plain = %#v", got)
	}
	loop := &item{Name: "x"}
	loop.Next = loop
	if _, err := encodeValue(formatOf(&rpc.CallRequest{Serializer: "json"}), plain(loop)); err == nil {
		t.Error("a value without end was encoded")
	}
}

// TestDateNumber compares days with the calendar.
func TestDateNumber(t *testing.T) {
	var d Date
	if err := convert(reflect.ValueOf(&d).Elem(), "0001-01-01", &path{name: "d"}); err != nil || d != 1 {
		t.Errorf("0001-01-01 is day %d, %v", d, err)
	}
}
