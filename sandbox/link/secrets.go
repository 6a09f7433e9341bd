package link

import "github.com/hearthhost/hearth/object"

// PutSecrets appends the fields of [SecretsGrant]: the object and its secrets. names lists the keys of values in
// order: of two names with one value, the first is the one that redacted texts show.
func (e *Encoder) PutSecrets(id object.ID, names []string, values map[string]string) {
	e.Text(string(id))
	e.Uint(uint64(len(names)))
	for _, name := range names {
		e.Text(name)
		e.Text(values[name])
	}
}

// SecretsFields reads the fields of PutSecrets.
func (d *Decoder) SecretsFields() (id object.ID, values map[string]string) {
	id = object.ID(d.Bounded(object.MaxIDBytes))
	n := d.Count()
	values = make(map[string]string, min(n, 64))
	for range n {
		name := d.Text()
		values[name] = d.Text()
		if d.Err != nil {
			return id, nil
		}
	}
	return id, values
}
