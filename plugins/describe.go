package plugins

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins/binary"
	"github.com/hearthhost/hearth/plugins/launch"
	"github.com/hearthhost/hearth/plugins/rpc"
	"github.com/hearthhost/hearth/signature"
)

// describe checks the plugin's description and keeps the objects that the policy lists.
func (pr *process) describe(r *rpc.DescribeReply) error {
	if n := len(r.GetObjects()); n > maxObjects {
		return binary.Errorf(binary.CauseDescribe, "it has %d objects; the limit is %d", n, maxObjects)
	}
	pr.objects = map[object.ID]*object.Description{}
	for _, name := range r.GetSupports() {
		pr.supports.web = pr.supports.web || name == webJSON
		pr.supports.once = pr.supports.once || name == supportsOnce
	}
	var unlisted, unsigned []string
	for _, o := range r.GetObjects() {
		id := pr.p.cfg.ID
		if o.GetName() != "" {
			id += object.ID("." + o.GetName())
		}
		if !slices.Contains(pr.p.cfg.Objects, id) {
			unlisted = append(unlisted, launch.Clip(string(id))) // the policy decides which objects exist
			continue
		}
		if pr.objects[id] != nil {
			return binary.Errorf(binary.CauseDescribe, "it has two objects %s", id)
		}
		d := &object.Description{ID: id, Doc: launch.Clip(o.GetDoc()), Instance: object.InstanceMode(o.GetInstance())}
		switch d.Instance {
		case object.Single, object.Session, object.PerCall:
		default:
			return binary.Errorf(binary.CauseDescribe, "%s has the instance mode %q", id, launch.Clip(o.GetInstance()))
		}
		if len(o.GetMembers()) > maxMembers {
			return binary.Errorf(binary.CauseDescribe, "%s has more than %d members", id, maxMembers)
		}
		var err error
		d.Members, err = members(id, o.GetMembers())
		if err != nil {
			return err
		}
		sign(d, o)
		unsigned = append(unsigned, d.Warnings...)
		pr.objects[id] = d
	}
	if n := len(unlisted); n > 0 {
		pr.p.cfg.Log.Warn("plugin has objects that the policy does not list", "objects", n, "first", unlisted[0])
	}
	if n := len(unsigned); n > 0 {
		pr.p.cfg.Log.Warn("plugin has signatures that cannot be used", "warnings", n, "first", unsigned[0])
	}
	if len(pr.objects) == 0 {
		return binary.Errorf(binary.CauseDescribe, "it has none of the objects that the policy lists: %v",
			pr.p.cfg.Objects)
	}
	return nil
}

// members checks the members of an object and returns them sorted by name.
func members(id object.ID, described []*rpc.Member) ([]object.Member, error) {
	var all []object.Member
	for _, m := range described {
		name := object.Method(m.GetName())
		duplicate := slices.ContainsFunc(all, func(o object.Member) bool { return o.Name == name })
		if !name.Callable() || duplicate {
			return nil, binary.Errorf(binary.CauseDescribe,
				"%s has the member %q, which is not callable or a duplicate", id, launch.Clip(m.GetName()))
		}
		all = append(all, object.Member{
			Name:   name,
			Doc:    launch.Clip(m.GetDoc()),
			Method: m.GetMethod(),
			Oneway: m.GetOneway(),
			Get:    m.GetGet(),
			Set:    m.GetSet(),
		})
	}
	slices.SortFunc(all, func(a, b object.Member) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return all, nil
}

// Bounds on the signatures of an object. An object beyond them has no signatures.
const (
	maxSignatureBytes = 32 << 10  // JSON of a member's signature
	maxTypesBytes     = 256 << 10 // JSON of the named types
	maxSignatures     = 1 << 20   // JSON of all signatures of an object
	maxTypes          = 20_000    // types, and their parts, in the signatures of an object
	maxParams         = 250       // parameters of a method
	maxNameBytes      = 255       // of a parameter, a field or a type
	maxDocs           = 256 << 10 // descriptions of parameters, fields and types
	maxWarnings       = 20
)

// sign adds the signatures that a plugin has described. A signature that cannot be used is a warning: the plugin checks
// the arguments of its calls in any case.
func sign(d *object.Description, o *rpc.Object) {
	s := signer{d: d}
	s.types(o.GetTypes())
	left := maxSignatures
	for _, m := range o.GetMembers() {
		doc := m.GetSignature()
		if len(doc) == 0 {
			continue
		}
		i := slices.IndexFunc(d.Members, func(one object.Member) bool { return string(one.Name) == m.GetName() })
		if left -= len(doc); left < 0 {
			s.drop("the signatures have more than %d bytes", maxSignatures)
			return
		}
		if err := s.member(&d.Members[i], doc); err != nil {
			s.warn("%s has a signature that cannot be used: %v", m.GetName(), err)
		}
	}
	if n := d.SignatureSize(); n > maxTypes {
		s.drop("the signatures have more than %d types", maxTypes)
	}
}

// signer adds signatures to a description.
type signer struct {
	d    *object.Description
	docs int // bytes of descriptions
}

func (s *signer) warn(format string, args ...any) {
	if len(s.d.Warnings) < maxWarnings {
		s.d.Warnings = append(s.d.Warnings, launch.Clip(fmt.Sprintf(format, args...)))
	}
}

// drop removes all signatures.
func (s *signer) drop(format string, args ...any) {
	id, short := s.d.ID, s.d.WithoutSignatures()
	*s.d = *short
	for i := range s.d.Members {
		s.d.Members[i].Signature = ""
	}
	s.d.ID = id
	s.warn(format+"; the object has none", args...)
}

// types adds the named types.
func (s *signer) types(doc []byte) {
	if len(doc) == 0 {
		return
	}
	types := new(signature.Types)
	err := s.decode(doc, maxTypesBytes, types)
	for _, name := range types.Names() {
		if err != nil {
			break
		}
		d := types.Find(name)
		if err = checkName(name); err == nil {
			err = s.fields(d.Fields)
		}
		if d.Type != nil && err == nil {
			err = s.walk(d.Type)
		}
		d.Doc = s.doc(d.Doc)
	}
	if err != nil {
		s.warn("the named types cannot be used: %v", err)
		return
	}
	s.d.Types = types
}

// decode decodes a document of at most n bytes.
func (s *signer) decode(doc []byte, n int, to any) error {
	if len(doc) > n {
		return fmt.Errorf("%d bytes, at most %d are allowed", len(doc), n)
	}
	return json.Unmarshal(doc, to)
}

// member adds the signature of a member.
func (s *signer) member(m *object.Member, doc []byte) error {
	if !m.Method {
		t := new(signature.Type)
		if err := s.decode(doc, maxSignatureBytes, t); err != nil {
			return err
		}
		if err := s.walk(t); err != nil {
			return err
		}
		m.Value, m.Signature = t, launch.Clip(t.String())
		return nil
	}
	f := new(signature.Function)
	if err := s.decode(doc, maxSignatureBytes, f); err != nil {
		return err
	}
	if err := s.function(f); err != nil {
		return err
	}
	f.Doc = m.Doc
	m.Function, m.Signature = f, launch.Clip(f.String())
	return nil
}

// function checks the names in a signature.
func (s *signer) function(f *signature.Function) error {
	if len(f.Params) > maxParams || len(f.Returns) > maxParams {
		return fmt.Errorf("it has more than %d parameters or results", maxParams)
	}
	seen := map[string]bool{}
	params := make([]*signature.Param, 0, len(f.Params)+2)
	for i := range f.Params {
		params = append(params, &f.Params[i])
	}
	if f.Keywords != nil {
		params = append(params, f.Keywords)
	}
	if f.Variadic != nil {
		params = append(params, f.Variadic)
	}
	for _, p := range params {
		if err := checkName(p.Name); err != nil {
			return err
		}
		if seen[p.Name] {
			return fmt.Errorf("it has two parameters %s", p.Name)
		}
		seen[p.Name] = true
		p.Doc = s.doc(p.Doc)
	}
	for i := range f.Returns {
		f.Returns[i].Doc = s.doc(f.Returns[i].Doc)
	}
	for _, t := range f.Types() {
		if err := s.walk(t); err != nil {
			return err
		}
	}
	return nil
}

// walk checks the names in a type.
func (s *signer) walk(t *signature.Type) error {
	if t == nil {
		return nil
	}
	if t.Kind == signature.Named {
		return checkName(t.Name)
	}
	for _, part := range append([]*signature.Type{t.Key, t.Elem}, t.Of...) {
		if err := s.walk(part); err != nil {
			return err
		}
	}
	return s.fields(t.Fields)
}

// fields checks the fields of a class or table.
func (s *signer) fields(fields []signature.Field) error {
	for i := range fields {
		f := &fields[i]
		if err := checkName(f.Name); err != nil {
			return err
		}
		f.Doc = s.doc(f.Doc)
		if err := s.walk(f.Type); err != nil {
			return err
		}
	}
	return nil
}

// doc returns a description, or "" if there are too many.
func (s *signer) doc(text string) string {
	text = launch.Clip(text)
	if s.docs += len(text); s.docs > maxDocs {
		return ""
	}
	return text
}

// checkName returns an error unless a text can be the name of a parameter, a field or a type.
func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("a name is empty")
	case len(name) > maxNameBytes:
		return fmt.Errorf("a name has more than %d bytes", maxNameBytes)
	}
	for _, c := range name {
		if c < ' ' || c == 0x7f {
			return fmt.Errorf("the name %q has a control character", name)
		}
	}
	return nil
}
