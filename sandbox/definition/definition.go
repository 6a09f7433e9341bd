// Package definition reads the object that a Lua script defines: its members, hooks, mode and documentation.
//
// A [Reader] implements hearth.object, and checks the object that the script returns.
package definition

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/values"
)

const (
	// MaxMembers is the limit of members of an object.
	MaxMembers = 1000

	maxDocBytes = 8 << 10 // of one member's documentation
	maxDocLines = 1000    // of the comment that it is read from
)

// Definition is the object that one run of a script has defined.
type Definition struct {
	Table    *lua.Table // result of hearth.object
	Meta     *lua.Table // metatable of instances: they find methods, then Table
	Doc      string
	Mode     object.InstanceMode
	Once     bool // calls with a correlation id are executed at most once; only in modes "single" and "keyed"
	Members  map[object.Method]*Member
	Init     *lua.Function
	Close    *lua.Function
	Handover *lua.Function // returns the state for the next version's init; only in modes "single" and "keyed"
	methods  *lua.Table    // methods that clients can call
}

// Member is one exposed name.
type Member struct {
	Method, Get, Set *lua.Function
	Oneway           bool
}

// Reader implements hearth.object, and checks the object that a script returns. It belongs to the goroutine
// of the VM.
type Reader struct {
	config  Config
	pending []*Definition // made by hearth.object and not yet returned
}

// Config adapts a Reader to its script. All fields are required.
type Config struct {
	ID    object.ID
	File  string // name of the script in messages
	Types *values.Types
	// Redact replaces secrets in the first most bytes of a text, and cuts off the rest.
	Redact func(text string, most int) string
}

// NewReader returns a reader without definitions.
func NewReader(c Config) *Reader { return &Reader{config: c} }

// Reset discards the definitions of a run that has ended.
func (r *Reader) Reset() { r.pending = r.pending[:0] }

// AppendRoots appends the pending definitions to a list, for a count of memory.
func (r *Reader) AppendRoots(list []lua.Value) []lua.Value {
	for _, d := range r.pending {
		list = append(list, d.Table.Value())
	}
	return list
}

// shown returns the beginning of a text, about n bytes, without secrets.
func (r *Reader) shown(text string, n int) string {
	return values.Clip(r.config.Redact(text, n+1), n)
}

// sections are the sub-tables of an object that hold its members.
var sections = [...]string{"expose", "oneway", "get", "set"}

// modes are the values of the setting instance.
var modes = []object.InstanceMode{object.Single, object.Session, object.PerCall, object.Keyed}

// NewObject implements hearth.object{…}.
func (r *Reader) NewObject(L *lua.Thread) int {
	d := &Definition{Mode: object.Session}
	if L.Top() > 0 {
		options := L.CheckTable(1)
		L.Charge(options.Room() >> 1)
		for k, v := range options.All() {
			key, _ := k.AsString()
			text, isText := v.AsString()
			L.Charge((len(key) + len(text)) >> 2) // for the search for secrets
			switch {
			case key == "doc" && isText:
				text = strings.ToValidUTF8(r.config.Redact(text, maxDocBytes+1), "\uFFFD")
				// A copy, so that it does not retain the whole text.
				d.Doc = strings.Clone(values.Clip(strings.TrimSpace(text), maxDocBytes))
			case key == "instance" && slices.Contains(modes, object.InstanceMode(text)):
				d.Mode = object.InstanceMode(text)
			case key == "instance":
				L.RaiseError(`hearth.object: instance must be "single", "session", "call" or "keyed", not %s`,
					r.shown(L.ToString(v), 40))
			case key == "once" && v.Kind() == lua.BoolKind:
				d.Once = v == lua.True
			case key == "once":
				L.RaiseError("hearth.object: once must be true or false, not a %s", v.Kind())
			case key == "doc":
				L.RaiseError("hearth.object: doc must be a text, not a %s", v.Kind())
			default:
				L.RaiseError("hearth.object: unknown setting %q; the settings are doc, instance and once",
					r.shown(lua.Describe(k), 40))
			}
		}
	}
	d.Table = newTable(L)
	for _, name := range sections {
		d.Table.SetString(name, newTable(L).Value())
	}
	// Instances find exposed methods first, and then the fields of the object's table.
	d.Meta, d.methods = newTable(L), newTable(L)
	d.Meta.SetString("__index", d.methods.Value())
	parent := newTable(L)
	parent.SetString("__index", d.Table.Value())
	d.methods.SetMeta(parent)
	if len(r.pending) >= 16 {
		L.RaiseError("hearth.object: a script defines one object")
	}
	r.pending = append(r.pending, d)
	L.Push(d.Table.Value())
	return 1
}

// Find returns the Definition of the table that a script has returned, after checking it.
func (r *Reader) Find(v lua.Value) (*Definition, error) {
	file := r.config.File
	var d *Definition
	for _, other := range r.pending {
		if other.Table.Value() == v {
			d = other
		}
	}
	r.pending = r.pending[:0] // objects that the script has not returned
	if d == nil {
		return nil, fmt.Errorf("%s: the script returned a %s; it must return the result of hearth.object", file,
			r.config.Types.TypeName(v))
	}
	d.Members = map[object.Method]*Member{}
	for _, section := range sections {
		if err := r.defineSection(d, section); err != nil {
			return nil, err
		}
	}
	var err error
	for name, to := range map[string]**lua.Function{"init": &d.Init, "close": &d.Close, "handover": &d.Handover} {
		v := d.Table.GetString(name)
		*to = v.AsFunction()
		if *to == nil && !v.IsNil() {
			err = fmt.Errorf("%s: %s must be a function, not a %s", file, name, v.Kind())
		}
	}
	if err == nil && d.Handover != nil && d.Mode != object.Single && d.Mode != object.Keyed {
		err = fmt.Errorf("%s: handover belongs to an object with instance = \"single\" or \"keyed\": other instances "+
			"are never replaced", file)
	}
	if err == nil && d.Once && d.Mode != object.Single && d.Mode != object.Keyed {
		err = fmt.Errorf("%s: once belongs to an object with instance = \"single\" or \"keyed\": in mode %q a retry "+
			"reaches another instance, while the first one may still run the call", file, d.Mode)
	}
	return d, err
}

// defineSection reads one of an object's sub-tables.
func (r *Reader) defineSection(d *Definition, section string) error {
	file := r.config.File
	t := d.Table.GetString(section).AsTable()
	if t == nil {
		return fmt.Errorf("%s: %s is no longer a table; add functions to it instead of replacing it", file, section)
	}
	for k, v := range t.All() {
		name, _ := k.AsString()
		fn := v.AsFunction()
		where := file
		if fn != nil && fn.Proto() != nil {
			where = fmt.Sprintf("%s:%d", fn.Proto().Chunk, fn.Proto().Line)
		}
		switch {
		case !object.Method(name).Callable():
			return fmt.Errorf("%s: %s.%s: not a public name: use a letter, then letters, digits and '_', or a name "+
				"such as __len__ for len(p)", where, section, r.shown(lua.Describe(k), 40))
		case r.config.Redact(name, len(name)) != name:
			// Listings and the audit log would contain it.
			return fmt.Errorf("%s: %s: a member's name holds a secret", where, section)
		case fn == nil:
			return fmt.Errorf("%s: %s.%s must be a function, not a %s", where, section, name, v.Kind())
		}
		if name[0] == '_' && section != "expose" {
			return fmt.Errorf("%s: %s.%s: clients call it as a method; put it under expose", where, section, name)
		}
		m := d.Members[object.Method(name)]
		if m == nil {
			if len(d.Members) == MaxMembers {
				return fmt.Errorf("%s: the object exposes more than %d members", file, MaxMembers)
			}
			m = &Member{}
			d.Members[object.Method(name)] = m
		}
		// One name may have a getter and a setter. Any other combination is ambiguous.
		method := section == "expose" || section == "oneway"
		if m.Method != nil || method && (m.Get != nil || m.Set != nil) {
			return fmt.Errorf("%s: %s.%s: the name is already exposed", where, section, name)
		}
		switch section {
		case "get":
			m.Get = fn
		case "set":
			m.Set = fn
		default:
			m.Method, m.Oneway = fn, section == "oneway"
			d.methods.SetString(name, v)
		}
	}
	return nil
}

// Describe returns the description of an object. The documentation and the signatures of its members are those of the
// comments above their functions.
func (r *Reader) Describe(d *Definition, signatures *Signatures) *object.Description {
	out := &object.Description{ID: r.config.ID, Doc: d.Doc, Instance: d.Mode, Once: d.Once,
		Members: make([]object.Member, 0, len(d.Members))}
	for name, m := range d.Members {
		member := object.Member{
			Name: name, Method: m.Method != nil, Oneway: m.Oneway, Get: m.Get != nil, Set: m.Set != nil,
		}
		for _, fn := range []*lua.Function{m.Method, m.Get, m.Set} {
			if fn != nil {
				signatures.describe(&member, fn)
			}
		}
		out.Members = append(out.Members, member)
	}
	sort.Slice(out.Members, func(i, j int) bool { return out.Members[i].Name < out.Members[j].Name })
	out.Types = signatures.Types()
	out.Types = out.UsedTypes()
	out.Warnings = signatures.Warnings()
	return out
}

// newTable makes a table with room for a few fields.
func newTable(L *lua.Thread) *lua.Table { return L.NewTable(0, 8) }
