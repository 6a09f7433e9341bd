package sandbox

import (
	"fmt"
	"github.com/hearthhost/hearth/sandbox/values"
	"slices"
	"sort"
	"strings"

	"github.com/hearthhost/hearth/sandbox/lua"

	"github.com/hearthhost/hearth/object"
)

// definition is what one run of a script defined.
type definition struct {
	table   *lua.Table // what hearth.object returned
	proto   *lua.Table // the metatable of instances: they find methods, then table
	methods *lua.Table // the functions that can be called from outside
	doc     string
	mode    object.InstanceMode
	members map[object.Method]*member
	init    *lua.Function
	close   *lua.Function
	// handover returns the state that the next version's init gets; only of mode "single".
	handover *lua.Function
}

// member is one exposed name.
type member struct {
	method, get, set *lua.Function
	oneway           bool
}

// sections are the sub-tables of an object under which its members stand.
var sections = [...]string{"expose", "oneway", "get", "set"}

// newObject is hearth.object{…}.
func (s *State) newObject(L *lua.Thread) int {
	d := &definition{mode: object.Session}
	if L.Top() > 0 {
		options := L.CheckTable(1)
		L.Charge(options.Room() >> 1)
		for k, v := range options.All() {
			key, _ := k.AsString()
			text, isText := v.AsString()
			L.Charge((len(key) + len(text)) >> 2) // secrets are searched for
			switch {
			case key == "doc" && isText:
				d.doc = strings.Clone(values.Clip(strings.TrimSpace(strings.ToValidUTF8(s.p.services.Secrets.Redact(text, maxDocBytes+1), "\uFFFD")), maxDocBytes)) // and not the rest
			case key == "instance" && slices.Contains([]object.InstanceMode{object.Single, object.Session, object.PerCall}, object.InstanceMode(text)):
				d.mode = object.InstanceMode(text)
			case key == "instance":
				L.RaiseError(`hearth.object: instance must be "single", "session" or "call", not %s`, s.p.shown(L.ToString(v), 40))
			case key == "doc":
				L.RaiseError("hearth.object: doc must be a text, not a %s", v.Kind())
			default:
				L.RaiseError("hearth.object: there is no setting %q: there are doc and instance", s.p.shown(lua.Describe(k), 40))
			}
		}
	}
	d.table = newTable(L)
	for _, name := range sections {
		d.table.SetString(name, newTable(L).Value())
	}
	d.proto, d.methods = newTable(L), newTable(L)
	d.proto.SetString("__index", d.methods.Value())
	parent := newTable(L)
	parent.SetString("__index", d.table.Value())
	d.methods.SetMeta(parent)
	if len(s.defs) >= 16 {
		L.RaiseError("hearth.object: a script defines one object")
	}
	s.defs = append(s.defs, d)
	L.Push(d.table.Value())
	return 1
}

// defined finds and checks the definition that a script returned.
func (s *State) defined(v lua.Value) (*definition, error) {
	file := s.p.file
	var d *definition
	for _, other := range s.defs {
		if other.table.Value() == v {
			d = other
		}
	}
	s.defs = s.defs[:0]
	if d == nil {
		return nil, fmt.Errorf("%s: the script returned a %s; it must return what hearth.object made", file, s.types.TypeName(v))
	}
	d.members = map[object.Method]*member{}
	for _, section := range sections {
		if err := s.defineSection(d, section); err != nil {
			return nil, err
		}
	}
	var err error
	for name, to := range map[string]**lua.Function{"init": &d.init, "close": &d.close, "handover": &d.handover} {
		v := d.table.GetString(name)
		*to = v.AsFunction()
		if *to == nil && !v.IsNil() {
			err = fmt.Errorf("%s: %s must be a function, not a %s", file, name, v.Kind())
		}
	}
	if err == nil && d.handover != nil && d.mode != object.Single {
		err = fmt.Errorf("%s: handover belongs to an object with instance = \"single\": other instances are never replaced", file)
	}
	return d, err
}

// defineSection reads one of an object's sub-tables.
func (s *State) defineSection(d *definition, section string) error {
	file := s.p.file
	t := d.table.GetString(section).AsTable()
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
			return fmt.Errorf("%s: %s.%s: not a public name: want a letter, then letters, digits and '_'", where, section, s.p.shown(lua.Describe(k), 40))
		case s.p.services.Secrets.Redact(name, len(name)) != name:
			// It would stand in listings and in the audit log.
			return fmt.Errorf("%s: %s: a member's name holds a secret", where, section)
		case fn == nil:
			return fmt.Errorf("%s: %s.%s must be a function, not a %s", where, section, name, v.Kind())
		}
		m := d.members[object.Method(name)]
		if m == nil {
			if len(d.members) == MaxMembers {
				return fmt.Errorf("%s: the object exposes more than %d members", file, MaxMembers)
			}
			m = &member{}
			d.members[object.Method(name)] = m
		}
		method := section == "expose" || section == "oneway"
		if m.method != nil || method && (m.get != nil || m.set != nil) {
			return fmt.Errorf("%s: %s.%s: the name is already exposed", where, section, name)
		}
		switch section {
		case "get":
			m.get = fn
		case "set":
			m.set = fn
		default:
			m.method, m.oneway = fn, section == "oneway"
			d.methods.SetString(name, v)
		}
	}
	return nil
}

// describe makes the description of an object, with the documentation that stands in
// the source.
func (d *definition) describe(p *Program) *object.Description {
	out := &object.Description{ID: p.id, Doc: d.doc, Instance: d.mode, Members: make([]object.Member, 0, len(d.members))}
	docs := docReader{p: p}
	for name, m := range d.members {
		doc := docs.above(m.method)
		if doc == "" {
			doc = docs.above(m.get)
		}
		if doc == "" {
			doc = docs.above(m.set)
		}
		out.Members = append(out.Members, object.Member{
			Name: name, Doc: doc, Method: m.method != nil, Oneway: m.oneway, Get: m.get != nil, Set: m.set != nil,
		})
	}
	sort.Slice(out.Members, func(i, j int) bool { return out.Members[i].Name < out.Members[j].Name })
	return out
}
