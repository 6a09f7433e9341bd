package object

import "github.com/hearthhost/hearth/signature"

// Description lists the exposed members of an object.
type Description struct {
	ID       ID           `json:"id"`
	Doc      string       `json:"doc,omitempty"`
	Instance InstanceMode `json:"instance"`
	// Once means that a call with a correlation id is executed at most once.
	Once    bool     `json:"once,omitempty"`
	Members []Member `json:"members"` // sorted by name
	// Types are the named types that the signatures of the members use. It may be nil.
	Types *signature.Types `json:"types,omitempty"`
	// Warnings are the wrong annotations of the program, each with file and line. Callers do not receive them.
	Warnings []string `json:"warnings,omitempty"`
}

// Member is one exposed method or attribute.
type Member struct {
	Name Method `json:"name"`
	Doc  string `json:"doc,omitempty"`
	// Signature has the parameters and results of a method or the type of an attribute as text, such as
	// "(k: integer, note?: string): integer". It may be empty.
	Signature string `json:"signature,omitempty"`
	// Function is the signature of a method. It is nil if it is not known.
	Function *signature.Function `json:"function,omitempty"`
	// Value is the type of an attribute. It is nil if it is not known.
	Value *signature.Type `json:"value,omitempty"`

	Method bool `json:"method,omitempty"` // callable
	Oneway bool `json:"oneway,omitempty"` // callable without a reply
	Get    bool `json:"get,omitempty"`    // attribute, readable
	Set    bool `json:"set,omitempty"`    // attribute, writable
}

// UsedTypes returns the types of Types that the signatures of the members use, nil for none.
func (d *Description) UsedTypes() *signature.Types {
	var used []*signature.Type
	for _, m := range d.Members {
		if m.Function != nil {
			used = append(used, m.Function.Types()...)
		}
		if m.Value != nil {
			used = append(used, m.Value)
		}
	}
	return d.Types.Reachable(used)
}

// SignatureSize returns the number of types, and of their parts, in the description.
func (d *Description) SignatureSize() int {
	n := d.Types.Size()
	for _, m := range d.Members {
		if m.Value != nil {
			n += m.Value.Size()
		}
		if m.Function != nil {
			for _, t := range m.Function.Types() {
				n += t.Size()
			}
		}
	}
	return n
}

// WithoutSignatures returns the description without types and warnings.
func (d *Description) WithoutSignatures() *Description {
	short := *d
	short.Types, short.Warnings, short.Members = nil, nil, make([]Member, len(d.Members))
	for i, m := range d.Members {
		m.Function, m.Value = nil, nil
		short.Members[i] = m
	}
	return &short
}
