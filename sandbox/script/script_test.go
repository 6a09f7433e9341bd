package script

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// TestDescribe decodes descriptions of a worker. The id is the host's, and a description with too many members is an
// error and is not kept.
func TestDescribe(t *testing.T) {
	v := NewVersion("acme.x", Script{}, NewLibs(nil), object.Limits{})
	doc := func(n int) []byte {
		d := object.Description{ID: "other.x"}
		for i := range n {
			d.Members = append(d.Members, object.Member{Name: object.Method(fmt.Sprint("m", i)), Method: true})
		}
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for part, b := range map[string][]byte{
		"reading the description of acme.x: more than 1000 members": doc(link.MaxMembers + 1),
		"reading the description of acme.x: unexpected end":         doc(1)[:10],
	} {
		if _, err := v.Describe(b); err == nil || !strings.Contains(err.Error(), part) || v.Description() != nil {
			t.Errorf("Describe: %v, want %q", err, part)
		}
	}
	d, err := v.Describe(doc(link.MaxMembers))
	if err != nil || d.ID != "acme.x" || len(d.Members) != link.MaxMembers || v.Description() != d {
		t.Errorf("Describe: %+v, %v", d, err)
	}
}

// TestNumbers makes versions and modules. Their numbers differ.
func TestNumbers(t *testing.T) {
	libs := NewLibs(nil)
	a := NewVersion("acme.x", Script{}, libs, object.Limits{})
	b := NewVersion("acme.x", Script{}, libs, object.Limits{})
	if a.Number() == b.Number() || a.Number() == libs.Number() || b.Number() == libs.Number() {
		t.Errorf("versions %d and %d, modules %d", a.Number(), b.Number(), libs.Number())
	}
	if a.Limits != (object.Limits{}.WithDefaults()) {
		t.Errorf("the limits are %+v", a.Limits)
	}
}
