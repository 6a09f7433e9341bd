package policy

import (
	"encoding/hex"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/object"
)

// Plugin is a plugin block: leave for an executable to start.
type Plugin struct {
	ID       object.ID   // the executable is <plugins>/<tenant>/<name>
	SHA256   string      // of the executable, lower-case hexadecimal; "" if it is not pinned
	Unpinned bool        // any content may start
	Objects  []object.ID // what it serves: ID itself, or names below it
	Where    string      // for messages: "policy.hcl:12"
}

// plugins reads the plugin blocks of a tenant.
func (r *reader) plugins(tenant object.Tenant, b *hclsyntax.Block) {
	seen := map[string]bool{}
	for _, inner := range b.Body.Blocks {
		if inner.Type != "plugin" {
			continue
		}
		if len(inner.Labels) != 1 {
			r.problems.add(inner.TypeRange, `write plugin "name" { … }`, "a plugin has one name, and this one has %d", len(inner.Labels))
			continue
		}
		name, at := inner.Labels[0], inner.LabelRanges[0]
		switch {
		case !object.ValidName(name):
			r.problems.add(at, "", "plugin %q: a name has letters, digits, '_' and '-'", name)
		case seen[name]:
			r.problems.add(at, "", "there is a plugin %q of this tenant already", name)
		default:
			seen[name] = true
			r.plugin(object.ID(string(tenant)+"."+name), inner)
		}
	}
}

// plugin reads one plugin block.
func (r *reader) plugin(id object.ID, b *hclsyntax.Block) {
	a := r.block(b, "sha256", "unpinned", "unconfined", "objects")
	p := Plugin{ID: id, Where: r.where(b.TypeRange)}
	sum, at, pinned := r.text(a, "sha256")
	if pinned {
		if raw, err := hex.DecodeString(sum); err != nil || len(raw) != 32 {
			r.problems.add(at, "sha256sum prints it", "sha256: want 64 hexadecimal digits")
		}
		p.SHA256 = strings.ToLower(sum)
	}
	p.Unpinned, _ = r.flag(a, "unpinned")
	if ok, _ := r.flag(a, "unconfined"); !ok {
		r.problems.add(b.TypeRange, "add unconfined = true to run it with all the rights of the host's user", "plugin %q: the operating system does not confine plugins yet", id)
	}
	switch {
	case p.Unpinned && a["sha256"] != nil:
		r.problems.add(a["unpinned"].NameRange, "", "sha256 and unpinned = true contradict each other")
	case !p.Unpinned && a["sha256"] == nil:
		r.problems.add(b.TypeRange, "add sha256 = \"…\", which sha256sum prints; or, while you develop it, unpinned = true", "plugin %q is not pinned", id)
	}
	subs, _ := r.texts(a, "objects", "leave objects out if the plugin is one object")
	for _, e := range subs {
		if !object.ValidName(e.text) {
			r.problems.add(e.at, "", "objects: %q: a name has letters, digits, '_' and '-'", e.text)
			continue
		}
		p.Objects = append(p.Objects, id+object.ID("."+e.text))
	}
	if a["objects"] == nil {
		p.Objects = []object.ID{id}
	}
	for _, o := range p.Objects {
		if _, err := object.ParseID(string(o)); err != nil {
			r.problems.add(b.LabelRanges[0], "", "%v", err)
		}
	}
	r.p.Pins = append(r.p.Pins, p)
}
