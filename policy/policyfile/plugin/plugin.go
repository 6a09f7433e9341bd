// Package plugin reads the plugin blocks of tenants: programs that may start, and exceptions from their isolation.
//
// A [Reader] reads the blocks of all tenants of one file. It remembers the paths that plugins can read. CheckPaths
// compares them with the host's own files after the whole file is read, because blocks have no fixed order. A path that
// contains a key, a secret, the audit log or the host's state is an error.
//
// The package does not open files: a missing program or path is found when the plugin starts.
package plugin

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
	"github.com/hearthhost/hearth/policy/problem"
	"github.com/hearthhost/hearth/policy/syntax"
)

// Reader reads the plugin blocks of a file.
type Reader struct {
	file     *syntax.Reader
	warnings *problem.List
	paths    []syntax.Element // paths that plugins can read
}

// New returns a reader of plugin blocks.
func New(file *syntax.Reader, warnings *problem.List) *Reader {
	return &Reader{file: file, warnings: warnings}
}

// Read reads the plugin blocks of a tenant, whose processes have memory bytes. 0 means no limit.
func (r *Reader) Read(tenant object.Tenant, b *hclsyntax.Block, memory int64) []policy.Plugin {
	var all []policy.Plugin
	seen := map[string]bool{}
	for _, inner := range b.Body.Blocks {
		if inner.Type != "plugin" {
			continue
		}
		if len(inner.Labels) != 1 {
			r.file.Problems.Add(inner.TypeRange, `write plugin "name" { … }`, "a plugin must have one name, not %d",
				len(inner.Labels))
			continue
		}
		name, at := inner.Labels[0], inner.LabelRanges[0]
		switch {
		case !object.ValidName(name):
			r.file.Problems.Add(at, "", "plugin %q: a name must consist of letters, digits, '_' and '-'", name)
		case seen[name]:
			r.file.Problems.Add(at, "", "plugin %q of this tenant is already declared", name)
		default:
			seen[name] = true
			all = append(all, r.plugin(object.ID(string(tenant)+"."+name), inner, memory))
		}
	}
	return all
}

// plugin reads one plugin block.
func (r *Reader) plugin(id object.ID, b *hclsyntax.Block, memory int64) policy.Plugin {
	a := r.file.Block(b, "sha256", "unpinned", "objects", "runtime", "files", "tmp", "fork", "unconfined")
	p := policy.Plugin{ID: id, Where: r.file.Where(b.TypeRange)}
	sum, at, pinned := r.file.Text(a, "sha256")
	if pinned {
		if raw, err := hex.DecodeString(sum); err != nil || len(raw) != 32 {
			r.file.Problems.Add(at, "sha256sum prints it", "sha256: must be 64 hexadecimal digits")
		}
		p.SHA256 = strings.ToLower(sum)
	}
	p.Unpinned, _ = r.file.Flag(a, "unpinned")
	r.isolation(&p, a, memory)
	switch {
	case p.Unpinned && a["sha256"] != nil:
		r.file.Problems.Add(a["unpinned"].NameRange, "", "sha256 and unpinned = true exclude each other")
	case !p.Unpinned && a["sha256"] == nil:
		r.file.Problems.Add(b.TypeRange,
			"add sha256 = \"…\", which sha256sum prints; or, while you develop it, unpinned = true", "plugin %q "+
				"is not pinned", id)
	}
	subs, _ := r.file.Texts(a, "objects", "omit objects if the plugin is one object")
	for _, e := range subs {
		if !object.ValidName(e.Text) {
			r.file.Problems.Add(e.At, "", "objects: %q: a name must consist of letters, digits, '_' and '-'", e.Text)
			continue
		}
		p.Objects = append(p.Objects, id+object.ID("."+e.Text))
	}
	if a["objects"] == nil {
		p.Objects = []object.ID{id}
	}
	for _, o := range p.Objects {
		if _, err := object.ParseID(string(o)); err != nil {
			r.file.Problems.Add(b.LabelRanges[0], "", "%v", err)
		}
	}
	return p
}

// maxTmp is the largest /tmp of a plugin's own.
const maxTmp = 16 << 30

// isolation reads the exceptions from a plugin's isolation.
func (r *Reader) isolation(p *policy.Plugin, a syntax.Attributes, memory int64) {
	p.Unconfined, _ = r.file.Flag(a, "unconfined")
	p.Fork, _ = r.file.Flag(a, "fork")
	p.Runtime = r.visiblePaths(a, "runtime")
	p.Files = r.visiblePaths(a, "files")
	p.TmpBytes, _ = r.file.Bytes(a, "tmp", 1<<12, maxTmp)
	if memory > 0 && p.TmpBytes >= memory {
		r.warnings.Add(a["tmp"].Expr.Range(), "raise memory of the tenant's limits, or lower tmp",
			"plugin %q: files in /tmp count as its memory: %s are not below its limit of %s", p.ID,
			bytesize.Format(p.TmpBytes), bytesize.Format(memory))
	}
	if !p.Unconfined {
		return
	}
	for _, name := range []string{"runtime", "files", "tmp", "fork"} {
		if a[name] != nil {
			r.file.Problems.Add(a[name].NameRange, "remove one of them",
				"%s is an exception from the isolation, which unconfined = true disables", name)
		}
	}
}

// visiblePaths reads paths that a plugin can read.
func (r *Reader) visiblePaths(a syntax.Attributes, name string) []string {
	var paths []string
	list, _ := r.file.Texts(a, name, "omit it for no paths")
	for _, e := range list {
		switch {
		case !filepath.IsAbs(e.Text) || filepath.Clean(e.Text) != e.Text:
			r.file.Problems.Add(e.At, `write "/usr/lib"`, "%s: %q is not a clean absolute path", name, e.Text)
			continue
		case e.Text == "/":
			r.file.Problems.Add(e.At, "name the folders that it needs", "%s: / contains all files", name)
			continue
		case within(e.Text, "/proc") || within(e.Text, "/sys") || within(e.Text, "/dev"):
			r.file.Problems.Add(e.At, "", "%s: %s describes the machine and is not available to plugins", name, e.Text)
			continue
		}
		paths = append(paths, e.Text)
		r.paths = append(r.paths, e)
	}
	return paths
}

// CheckPaths rejects paths of plugins that contain files of the host. Call it after the whole file is read into def.
func (r *Reader) CheckPaths(def *policy.Definition) {
	private := map[string]string{r.file.Dir: "the folder of the policy", def.State: "the host's state",
		def.Scripts: "the scripts of all tenants",
		def.Plugins: "the plugins of all tenants", def.Audit.Path: "the audit log"}
	for _, k := range slices.Concat(def.Keys, def.LegacyKeys) {
		private[k.Path] = "a key"
	}
	for _, s := range def.Secrets {
		private[s.Path], private[s.Identity] = "a secret", "the identity of secrets"
	}
	for _, b := range def.Egress {
		if b.Cert != nil {
			private[b.Cert.Key] = "a private key"
		}
	}
	for _, l := range def.Listeners {
		if l.TLS != nil {
			private[l.TLS.Key] = "a private key"
		}
	}
	delete(private, "")
	for _, e := range r.paths {
		for _, path := range slices.Sorted(maps.Keys(private)) {
			if within(path, e.Text) {
				r.file.Problems.Add(e.At, "name only the files that it needs",
					"%s contains %s, %s, which is not available to plugins",
					e.Text, path, private[path])
				break
			}
		}
		log := strings.TrimSuffix(def.Audit.Path, filepath.Ext(def.Audit.Path))
		switch {
		case strings.HasPrefix(e.Text, log+"-"): // rotated files and kept records
			r.file.Problems.Add(e.At, "", "%s is part of the audit log, which is not available to plugins", e.Text)
		case within(e.Text, def.State):
			r.file.Problems.Add(e.At, "", "%s is part of the host's state, which is not available to plugins", e.Text)
		case e.Text != def.Scripts && within(e.Text, def.Scripts):
			r.file.Problems.Add(e.At, "", "%s is part of the scripts, which are not available to plugins", e.Text)
		}
	}
}

// within reports whether path is folder or inside it.
func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, strings.TrimSuffix(folder, "/")+"/")
}
