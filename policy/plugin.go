package policy

import (
	"encoding/hex"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/internal/bytesize"
	"github.com/hearthhost/hearth/object"
)

// Plugin is a plugin block: leave for an executable to start.
type Plugin struct {
	ID       object.ID   // the executable is <plugins>/<tenant>/<name>
	SHA256   string      // of the executable, lower-case hexadecimal; "" if it is not pinned
	Unpinned bool        // any content may start
	Objects  []object.ID // what it serves: ID itself, or names below it
	// Unconfined puts no walls around it. If it is set, the following are not.
	Unconfined bool
	Runtime    []string // files and folders of the system that it reads and runs from; absolute
	Files      []string // files and folders that it reads; absolute
	TmpBytes   int64    // the size of its own /tmp; 0: it has none
	Fork       bool     // it may make processes
	Where      string   // for messages: "policy.hcl:12"
}

// plugins reads the plugin blocks of a tenant.
func (r *reader) plugins(tenant object.Tenant, b *hclsyntax.Block) {
	seen := map[string]bool{}
	for _, inner := range b.Body.Blocks {
		if inner.Type != "plugin" {
			continue
		}
		if len(inner.Labels) != 1 {
			r.problems.Add(inner.TypeRange, `write plugin "name" { … }`, "a plugin has one name, and this one has %d", len(inner.Labels))
			continue
		}
		name, at := inner.Labels[0], inner.LabelRanges[0]
		switch {
		case !object.ValidName(name):
			r.problems.Add(at, "", "plugin %q: a name has letters, digits, '_' and '-'", name)
		case seen[name]:
			r.problems.Add(at, "", "there is a plugin %q of this tenant already", name)
		default:
			seen[name] = true
			r.plugin(object.ID(string(tenant)+"."+name), inner)
		}
	}
}

// plugin reads one plugin block.
func (r *reader) plugin(id object.ID, b *hclsyntax.Block) {
	a := r.block(b, "sha256", "unpinned", "objects", "runtime", "files", "tmp", "fork", "unconfined")
	p := Plugin{ID: id, Where: r.where(b.TypeRange)}
	sum, at, pinned := r.text(a, "sha256")
	if pinned {
		if raw, err := hex.DecodeString(sum); err != nil || len(raw) != 32 {
			r.problems.Add(at, "sha256sum prints it", "sha256: want 64 hexadecimal digits")
		}
		p.SHA256 = strings.ToLower(sum)
	}
	p.Unpinned, _ = r.flag(a, "unpinned")
	r.pluginWalls(&p, a)
	switch {
	case p.Unpinned && a["sha256"] != nil:
		r.problems.Add(a["unpinned"].NameRange, "", "sha256 and unpinned = true contradict each other")
	case !p.Unpinned && a["sha256"] == nil:
		r.problems.Add(b.TypeRange, "add sha256 = \"…\", which sha256sum prints; or, while you develop it, unpinned = true", "plugin %q is not pinned", id)
	}
	subs, _ := r.texts(a, "objects", "leave objects out if the plugin is one object")
	for _, e := range subs {
		if !object.ValidName(e.text) {
			r.problems.Add(e.at, "", "objects: %q: a name has letters, digits, '_' and '-'", e.text)
			continue
		}
		p.Objects = append(p.Objects, id+object.ID("."+e.text))
	}
	if a["objects"] == nil {
		p.Objects = []object.ID{id}
	}
	for _, o := range p.Objects {
		if _, err := object.ParseID(string(o)); err != nil {
			r.problems.Add(b.LabelRanges[0], "", "%v", err)
		}
	}
	r.p.Pins = append(r.p.Pins, p)
}

// maxTmp is the largest /tmp of a plugin's own.
const maxTmp = 16 << 30

// pluginWalls reads what a plugin's walls let through.
func (r *reader) pluginWalls(p *Plugin, a attributes) {
	p.Unconfined, _ = r.flag(a, "unconfined")
	p.Fork, _ = r.flag(a, "fork")
	p.Runtime = r.shownPaths(a, "runtime")
	p.Files = r.shownPaths(a, "files")
	p.TmpBytes, _ = r.bytes(a, "tmp", 1<<12, maxTmp)
	if most := r.p.Settings[p.ID.Tenant()].MemoryBytes; most > 0 && p.TmpBytes >= most {
		r.p.Warnings.Add(a["tmp"].Expr.Range(), "raise memory of the tenant's limits, or lower tmp",
			"plugin %q: files in /tmp count as its memory: %s of them are as much as the %s that it may have, or more", p.ID,
			bytesize.Format(p.TmpBytes), bytesize.Format(most))
	}
	if !p.Unconfined {
		return
	}
	for _, name := range []string{"runtime", "files", "tmp", "fork"} {
		if a[name] != nil {
			r.problems.Add(a[name].NameRange, "leave one of them out", "%s says what the walls let through, and unconfined = true that there are none", name)
		}
	}
}

// shownPaths reads paths that a plugin sees.
func (r *reader) shownPaths(a attributes, name string) []string {
	var paths []string
	list, _ := r.texts(a, name, "leave it out to show nothing")
	for _, e := range list {
		switch {
		case !filepath.IsAbs(e.text) || filepath.Clean(e.text) != e.text:
			r.problems.Add(e.at, `write "/usr/lib"`, "%s: %q is no absolute path without detours", name, e.text)
			continue
		case e.text == "/":
			r.problems.Add(e.at, "name the folders that it needs", "%s: / is everything", name)
			continue
		case within(e.text, "/proc") || within(e.text, "/sys") || within(e.text, "/dev"):
			r.problems.Add(e.at, "", "%s: %s shows the machine, and no plugin may see that", name, e.text)
			continue
		}
		paths = append(paths, e.text)
		r.shown = append(r.shown, e)
	}
	return paths
}

// checkShown refuses to show a plugin what is the host's own, once all of that is known.
func (r *reader) checkShown() {
	private := map[string]string{r.dir: "the folder of the policy", r.p.State: "the host's state", r.p.Scripts: "the scripts of all tenants",
		r.p.Plugins: "the plugins of all tenants", r.p.Audit.Path: "the audit log"}
	for _, k := range slices.Concat(r.p.Keys, r.p.LegacyKeys) {
		private[k.Path] = "a key"
	}
	for _, s := range r.p.Secrets {
		private[s.Path], private[s.Identity] = "a secret", "what decrypts secrets"
	}
	for _, l := range r.p.Listeners {
		if l.TLS != nil {
			private[l.TLS.Key] = "a private key"
		}
	}
	delete(private, "")
	for _, e := range r.shown {
		for _, path := range slices.Sorted(maps.Keys(private)) {
			if within(path, e.text) {
				r.problems.Add(e.at, "name what it needs and no more", "%s holds %s, %s, which no plugin may see", e.text, path, private[path])
				break
			}
		}
		log := strings.TrimSuffix(r.p.Audit.Path, filepath.Ext(r.p.Audit.Path))
		switch {
		case strings.HasPrefix(e.text, log+"-"): // its older files, and what is kept of them
			r.problems.Add(e.at, "", "%s is part of the audit log, which no plugin may see", e.text)
		case within(e.text, r.p.State):
			r.problems.Add(e.at, "", "%s is part of the host's state, which no plugin may see", e.text)
		case e.text != r.p.Scripts && within(e.text, r.p.Scripts):
			r.problems.Add(e.at, "", "%s is part of the scripts, which no plugin may see", e.text)
		}
	}
}

// within reports whether path is folder or lies in it.
func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, strings.TrimSuffix(folder, "/")+"/")
}
