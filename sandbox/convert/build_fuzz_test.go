package convert

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/budget"
	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/values"
)

// node is a value that a serializer reads. A container of a kind has parts; in a dict, keys and values alternate.
type node struct {
	container bool
	kind      object.Kind
	parts     []node
	leaf      byte // 'n' None, 't' True, 'i' a number, 'I' a large one, else a text
}

// nodesOf converts any bytes to values.
func nodesOf(b []byte) []node {
	stack := [][]node{nil}
	kinds := []object.Kind{}
	shut := func() {
		d := len(kinds) - 1
		n := node{container: true, kind: kinds[d], parts: stack[d+1]}
		if n.kind == object.DictKind && len(n.parts)%2 == 1 {
			n.parts = append(n.parts, node{leaf: 'n'})
		}
		kinds, stack = kinds[:d], append(stack[:d], append(stack[d], n))
	}
	for _, c := range b {
		switch c {
		case '[', '(', '<', '{':
			kinds = append(kinds, map[byte]object.Kind{'[': object.ListKind, '(': object.TupleKind, '<': object.SetKind,
				'{': object.DictKind}[c])
			stack = append(stack, nil)
		case ')':
			if len(kinds) > 0 {
				shut()
			}
		default:
			d := len(stack) - 1
			stack[d] = append(stack[d], node{leaf: c})
		}
	}
	for len(kinds) > 0 {
		shut()
	}
	return stack[0]
}

// send writes a value to a sink.
func (n node) send(to object.Sink) error {
	switch {
	case !n.container && n.leaf == 'n':
		return to.Null()
	case !n.container && n.leaf == 't':
		return to.Bool(true)
	case !n.container && n.leaf == 'i':
		return to.Int(7)
	case !n.container && n.leaf == 'I':
		return to.Int(1 << 60)
	case !n.container:
		return to.Text([]byte{n.leaf})
	}
	size := len(n.parts)
	if n.kind == object.DictKind {
		size /= 2
	}
	if err := to.Begin(n.kind, size); err != nil {
		return err
	}
	for _, p := range n.parts {
		if err := p.send(to); err != nil {
			return err
		}
	}
	return to.End()
}

// sequence reports whether n is a list or a tuple.
func (n node) sequence() bool {
	return n.container && (n.kind == object.ListKind || n.kind == object.TupleKind)
}

// hashable reports whether no key in n is a list, set or dict.
func (n node) hashable() bool {
	for i, p := range n.parts {
		if n.kind == object.DictKind && i%2 == 0 && p.container && p.kind != object.TupleKind || !p.hashable() {
			return false
		}
	}
	return true
}

// show formats a value as [shown] formats the Lua value that is made from it.
func (n node) show() string {
	if !n.container {
		switch n.leaf {
		case 'n':
			return "null"
		case 't':
			return "true"
		case 'i':
			return "7"
		case 'I':
			return "userdata"
		}
		return fmt.Sprintf("%q", string([]byte{n.leaf}))
	}
	if n.kind == object.DictKind {
		return n.showDict("dict")
	}
	var parts []string
	for _, p := range n.parts {
		parts = append(parts, p.show())
	}
	return n.kind.String() + fmt.Sprint(parts)
}

func (n node) showDict(name string) string {
	fields := map[string]string{}
	for i := 0; i < len(n.parts); i += 2 {
		k := n.parts[i].show()
		if n.parts[i].container || n.parts[i].leaf == 'I' {
			k = fmt.Sprintf("%s\x00%d", k, i) // an object as a key
		}
		fields[k] = n.parts[i+1].show()
	}
	var parts []string
	for k, v := range fields {
		k, _, _ = strings.Cut(k, "\x00")
		parts = append(parts, k+"="+v)
	}
	slices.Sort(parts)
	return name + fmt.Sprint(parts)
}

// call formats a call with these arguments, or returns "" if they are invalid.
func (n node) call(kwargs node) string {
	none := !kwargs.container && kwargs.leaf == 'n'
	if !n.sequence() || !n.hashable() || !none &&
		(!kwargs.container || kwargs.kind != object.DictKind || !kwargs.hashable()) {
		return ""
	}
	var args []string
	for _, p := range n.parts {
		args = append(args, p.show())
		if args[len(args)-1] == "null" {
			args[len(args)-1] = "nil"
		}
	}
	for i := 0; i < len(kwargs.parts); i += 2 {
		if k := kwargs.parts[i]; k.container || strings.IndexByte("ntiI", k.leaf) >= 0 {
			return ""
		}
	}
	if len(kwargs.parts) > 0 {
		args = append(args, kwargs.showDict("table"))
	}
	return "call" + fmt.Sprint(args)
}

// shown formats a Lua value.
func shown(types *values.Types, v lua.Value) string {
	switch v.Kind() {
	case lua.StringKind:
		return fmt.Sprintf("%q", lua.Describe(v))
	case lua.UserDataKind:
		if v == types.Null {
			return "null"
		}
		return "userdata"
	case lua.TableKind:
		t := v.AsTable()
		mark := types.Mark(t)
		var parts []string
		if mark != "dict" && mark != "" {
			for i := range t.Len() {
				parts = append(parts, shown(types, t.GetInt(i+1)))
			}
			return mark + fmt.Sprint(parts)
		}
		for k, e := range t.All() {
			parts = append(parts, shown(types, k)+"="+shown(types, e))
		}
		slices.Sort(parts)
		return map[string]string{"": "table", "dict": "dict"}[mark] + fmt.Sprint(parts)
	}
	return lua.Describe(v)
}

func shownCall(types *values.Types, args []lua.Value, kwargs *lua.Table) string {
	var parts []string
	for _, v := range args {
		parts = append(parts, shown(types, v))
	}
	if kwargs != nil {
		parts = append(parts, shown(types, kwargs.Value()))
	}
	return "call" + fmt.Sprint(parts)
}

// newBuilder returns the builder of a new Lua state.
func newBuilder() *Builder {
	vm := lua.New(lua.Limits{})
	b, _ := New(Config{
		Thread:     vm.Main,
		Types:      values.New(),
		Meter:      budget.New(budget.Config{VM: vm, Memory: 1 << 30, Held: func(int64) int64 { return 0 }}),
		KnownClass: func(string) bool { return false },
	})
	return b
}

// FuzzBuilder reads arbitrary payloads as calls and as batches, all with one builder. The builder must reject every
// payload that is not a call. Each call must have exactly its arguments.
func FuzzBuilder(f *testing.F) {
	for _, seed := range []string{
		"[a[b)){x1)", "(n)n", "[)[)", "[){t1)", "[){(a)1)", "{)[)", "[)", "[)n[)", "a{)", "[a){x1x2)",
		"[[m[a)n)[m(b(c)){x1)))n", "[[m[a){)))n", "[[m[){x1y2)[m[a)n)[m[b){z3)))[a", "[)n", "[)n[)", "[[m[a)))n",
		"[[m[a)nn))n", "[[m[a)a))n",
		"[m)n", "[{a1))n", "[[{a1)[a)n))n", "[[m<a)n))n", "[[[[)[)n)[a)n))n", "[[m[a){[)1)))n", "[{<a)1))n",
		"[{(a)1(a)2n3n4)){a{b[c)))", "[{I1I2))n",
	} {
		f.Add([]byte(seed))
	}
	b := newBuilder()
	f.Fuzz(func(t *testing.T, payload []byte) { checkBuilder(t, b, payload) })
}

// TestBuilder is FuzzBuilder with payloads that are mostly almost valid.
func TestBuilder(t *testing.T) {
	b := newBuilder()
	random := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"[", "(", "{", "<", ")", ")", "n", "t", "i", "I", "a", "b", "[a)", "[)", "{x1)", "n",
		"[m[a){x1))", "(m(b)n)", "[m[n)n)"}
	for range 20_000 {
		var payload []byte
		if random.IntN(2) == 0 {
			payload = append(payload, "[[m"...)
		}
		for range random.IntN(12) {
			payload = append(payload, pieces[random.IntN(len(pieces))]...)
		}
		if random.IntN(2) == 0 {
			payload = append(payload, "))n"...)
		}
		checkBuilder(t, b, payload)
		if t.Failed() {
			return
		}
	}
}

// checkBuilder reads a payload as a call and as a batch.
func checkBuilder(t *testing.T, b *Builder, payload []byte) {
	if len(payload) > 1000 || strings.Count(string(payload), "[")+strings.Count(string(payload),
		"(")+strings.Count(string(payload), "<")+strings.Count(string(payload), "{") > maxDepth-3 {
		return // too deep
	}
	nodes := nodesOf(payload)
	send := func(u Use) error {
		b.l.SetTop(0)
		b.Start(u, nil)
		for _, n := range nodes {
			if err := n.send(b); err != nil {
				return err
			}
		}
		return b.Finish()
	}

	want, got := "", ""
	if len(nodes) == 2 {
		want = nodes[0].call(nodes[1])
	}
	if send(ForCall) == nil {
		var args []lua.Value
		for i := range b.l.Top() {
			args = append(args, b.l.Get(i+1))
		}
		if kw := b.Keywords(); kw != nil {
			args = append(args, kw.Value())
		}
		got = shownCall(b.types, args, nil)
		if b.argCount != len(args) {
			t.Errorf("%q: there are %d arguments, and Arguments returns %d", payload, len(args), b.argCount)
		}
	}
	if got != want {
		t.Errorf("%q as a call is %q, want %q", payload, got, want)
	}

	want, got = "", ""
	if len(nodes) == 2 && nodes[0].sequence() && nodes[1].hashable() {
		want = "batch"
		for _, triple := range nodes[0].parts {
			if !triple.sequence() || len(triple.parts) != 3 || !triple.parts[0].hashable() ||
				triple.parts[1].call(triple.parts[2]) == "" {
				want = ""
				break
			}
			want += " " + triple.parts[1].call(triple.parts[2])
		}
	}
	if send(ForBatch) == nil {
		got = "batch"
		from := 0
		for _, c := range b.calls {
			got += " " + shownCall(b.types, b.values[from:c.End], c.Keywords)
			from = c.End
		}
		if b.l.Top() != 0 || from != len(b.values) {
			t.Errorf("%q: %d values lie on the stack, and %d are of no call", payload, b.l.Top(), len(b.values)-from)
		}
	}
	if got != want {
		t.Errorf("%q as a batch is %q, want %q", payload, got, want)
	}
}
