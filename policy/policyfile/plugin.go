package policyfile

import (
	"encoding/hex"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/internal/bytesize"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/syntax"
)

// plugins reads the plugin blocks of a tenant.
func (r *reader) plugins(tenant object.Tenant, b *hclsyntax.Block) {
	seen := map[string]bool{}
	for _, inner := range b.Body.Blocks {
		if inner.Type != "plugin" {
			continue
		}
		if len(inner.Labels) != 1 {
			r.Problems.Add(inner.TypeRange, `write plugin "name" { … }`, "a plugin must have one name, not %d",
				len(inner.Labels))
			continue
		}
		name, at := inner.Labels[0], inner.LabelRanges[0]
		switch {
		case !object.ValidName(name):
			r.Problems.Add(at, "", "plugin %q: a name must consist of letters, digits, '_' and '-'", name)
		case seen[name]:
			r.Problems.Add(at, "", "plugin %q of this tenant is already declared", name)
		default:
			seen[name] = true
			r.plugin(object.ID(string(tenant)+"."+name), inner)
		}
	}
}

// plugin reads one plugin block.
func (r *reader) plugin(id object.ID, b *hclsyntax.Block) {
	a := r.Block(b, "sha256", "unpinned", "objects", "runtime", "files", "tmp", "fork", "unconfined")
	p := policy.Plugin{ID: id, Where: r.Where(b.TypeRange)}
	sum, at, pinned := r.Text(a, "sha256")
	if pinned {
		if raw, err := hex.DecodeString(sum); err != nil || len(raw) != 32 {
			r.Problems.Add(at, "sha256sum prints it", "sha256: must be 64 hexadecimal digits")
		}
		p.SHA256 = strings.ToLower(sum)
	}
	p.Unpinned, _ = r.Flag(a, "unpinned")
	r.pluginIsolation(&p, a)
	switch {
	case p.Unpinned && a["sha256"] != nil:
		r.Problems.Add(a["unpinned"].NameRange, "", "sha256 and unpinned = true exclude each other")
	case !p.Unpinned && a["sha256"] == nil:
		r.Problems.Add(b.TypeRange,
			"add sha256 = \"…\", which sha256sum prints; or, while you develop it, unpinned = true", "plugin %q "+
				"is not pinned", id)
	}
	subs, _ := r.Texts(a, "objects", "omit objects if the plugin is one object")
	for _, e := range subs {
		if !object.ValidName(e.Text) {
			r.Problems.Add(e.At, "", "objects: %q: a name must consist of letters, digits, '_' and '-'", e.Text)
			continue
		}
		p.Objects = append(p.Objects, id+object.ID("."+e.Text))
	}
	if a["objects"] == nil {
		p.Objects = []object.ID{id}
	}
	for _, o := range p.Objects {
		if _, err := object.ParseID(string(o)); err != nil {
			r.Problems.Add(b.LabelRanges[0], "", "%v", err)
		}
	}
	r.def.Pins = append(r.def.Pins, p)
}

// maxTmp is the largest /tmp of a plugin's own.
const maxTmp = 16 << 30

// pluginIsolation reads the exceptions from a plugin's isolation.
func (r *reader) pluginIsolation(p *policy.Plugin, a syntax.Attributes) {
	p.Unconfined, _ = r.Flag(a, "unconfined")
	p.Fork, _ = r.Flag(a, "fork")
	p.Runtime = r.visiblePathsOf(a, "runtime")
	p.Files = r.visiblePathsOf(a, "files")
	p.TmpBytes, _ = r.Bytes(a, "tmp", 1<<12, maxTmp)
	if most := r.def.Settings[p.ID.Tenant()].MemoryBytes; most > 0 && p.TmpBytes >= most {
		r.def.Warnings.Add(a["tmp"].Expr.Range(), "raise memory of the tenant's limits, or lower tmp",
			"plugin %q: files in /tmp count as its memory: %s are not below its limit of %s", p.ID,
			bytesize.Format(p.TmpBytes), bytesize.Format(most))
	}
	if !p.Unconfined {
		return
	}
	for _, name := range []string{"runtime", "files", "tmp", "fork"} {
		if a[name] != nil {
			r.Problems.Add(a[name].NameRange, "remove one of them",
				"%s is an exception from the isolation, which unconfined = true disables", name)
		}
	}
}

// visiblePathsOf reads paths that a plugin can read.
func (r *reader) visiblePathsOf(a syntax.Attributes, name string) []string {
	var paths []string
	list, _ := r.Texts(a, name, "omit it for no paths")
	for _, e := range list {
		switch {
		case !filepath.IsAbs(e.Text) || filepath.Clean(e.Text) != e.Text:
			r.Problems.Add(e.At, `write "/usr/lib"`, "%s: %q is not a clean absolute path", name, e.Text)
			continue
		case e.Text == "/":
			r.Problems.Add(e.At, "name the folders that it needs", "%s: / contains all files", name)
			continue
		case within(e.Text, "/proc") || within(e.Text, "/sys") || within(e.Text, "/dev"):
			r.Problems.Add(e.At, "", "%s: %s describes the machine and is not available to plugins", name, e.Text)
			continue
		}
		paths = append(paths, e.Text)
		r.visiblePaths = append(r.visiblePaths, e)
	}
	return paths
}

// checkVisiblePaths rejects paths of plugins that contain files of the host. It runs after the host's own paths are
// known.
func (r *reader) checkVisiblePaths() {
	private := map[string]string{r.Dir: "the folder of the policy", r.def.State: "the host's state",
		r.def.Scripts: "the scripts of all tenants",
		r.def.Plugins: "the plugins of all tenants", r.def.Audit.Path: "the audit log"}
	for _, k := range slices.Concat(r.def.Keys, r.def.LegacyKeys) {
		private[k.Path] = "a key"
	}
	for _, s := range r.def.Secrets {
		private[s.Path], private[s.Identity] = "a secret", "the identity of secrets"
	}
	for _, l := range r.def.Listeners {
		if l.TLS != nil {
			private[l.TLS.Key] = "a private key"
		}
	}
	delete(private, "")
	for _, e := range r.visiblePaths {
		for _, path := range slices.Sorted(maps.Keys(private)) {
			if within(path, e.Text) {
				r.Problems.Add(e.At, "name only the files that it needs",
					"%s contains %s, %s, which is not available to plugins",
					e.Text, path, private[path])
				break
			}
		}
		log := strings.TrimSuffix(r.def.Audit.Path, filepath.Ext(r.def.Audit.Path))
		switch {
		case strings.HasPrefix(e.Text, log+"-"): // rotated files and kept records
			r.Problems.Add(e.At, "", "%s is part of the audit log, which is not available to plugins", e.Text)
		case within(e.Text, r.def.State):
			r.Problems.Add(e.At, "", "%s is part of the host's state, which is not available to plugins", e.Text)
		case e.Text != r.def.Scripts && within(e.Text, r.def.Scripts):
			r.Problems.Add(e.At, "", "%s is part of the scripts, which are not available to plugins", e.Text)
		}
	}
}

// within reports whether path is folder or inside it.
func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, strings.TrimSuffix(folder, "/")+"/")
}
