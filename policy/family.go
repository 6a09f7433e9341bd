package policy

import (
	"slices"

	"github.com/hearthhost/hearth/object"
)

// isFamily reports whether an id is that of a keyed object in listings.
func isFamily(id object.ID) bool {
	_, key, keyed := id.Split()
	return keyed && key == object.AnyKey
}

// Examples returns ids of instances of a keyed object that represent all instances in listings. id is the object's id
// with [object.AnyKey]. If the caller may call an instance, it usually may call one of these: they follow from the keys
// in patterns and conditions of the permits, and from the caller's name. A combination of rules can permit an instance
// and none of these; the object is then not listed, and can be called. For any other id the result is that id.
func (p *Policy) Examples(caller *object.Caller, id object.ID) []object.ID {
	if !isFamily(id) {
		return []object.ID{id}
	}
	return p.examples(caller.Principal, id)
}

func (p *Policy) examples(who object.Principal, id object.ID) []object.ID {
	family := id.Family()
	if !p.Addressable(family) {
		return nil
	}
	out := []object.ID{family.WithKey(unlikelyKey)}
	add := func(key string) {
		if object.ValidKey(key) {
			out = append(out, family.WithKey(key))
		}
	}
	add(string(who))
	for _, s := range p.Subjects[who] {
		for _, tenant := range [...]object.Tenant{family.Tenant(), AnyTenant} {
			for _, r := range s.Permits[tenant] {
				for i := range r.Objects {
					if id, ok := r.Objects[i].Example(family); ok {
						out = append(out, id)
						if r.When != nil {
							for _, key := range r.When.Keys {
								add(key)
							}
						}
					}
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
