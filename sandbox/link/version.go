package link

import (
	"encoding/json"
	"fmt"

	"github.com/hearthhost/hearth/object"
)

// Version is a version of an object in a [Load] or [Test] frame.
type Version struct {
	Number uint64 // id of the version
	Libs   uint64 // id of its modules in a [Libs] frame
	ID     object.ID
	File   string // for messages
	Limits object.Limits
	Source []byte
}

// PutVersion appends a version, as the last of a frame.
func (e *Encoder) PutVersion(v *Version) {
	e.Uint(v.Number)
	e.Uint(v.Libs)
	e.Text(string(v.ID))
	e.Text(v.File)
	limits, _ := json.Marshal(v.Limits) // cannot fail: the fields are numbers
	e.Text(string(limits))
	e.Raw(v.Source)
}

// VersionFields reads the fields of PutVersion. Source aliases the body.
func (d *Decoder) VersionFields() (v Version, err error) {
	v.Number, v.Libs = d.Uint(), d.Uint()
	v.ID, v.File = object.ID(d.Text()), d.Text()
	limits := d.Text()
	v.Source = d.Raw()
	if d.Err != nil {
		return v, d.Err
	}
	if err := json.Unmarshal([]byte(limits), &v.Limits); err != nil {
		return v, fmt.Errorf("link: the limits of %s: %w", v.ID, err)
	}
	return v, nil
}
