package policy

import (
	"path/filepath"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Audit is the audit block: how decisions are written down.
type Audit struct {
	Off  bool
	Path string // absolute
	// Permits says which permits are written: one in so many, 1 all, 0 none.
	Permits uint64
	Drop    bool  // what cannot be written is counted; otherwise its call is refused
	Rotate  int64 // bytes from which on a new file is begun
	Keep    int   // old files that are kept; 0: all
}

// DefaultAudit is what holds where the file says nothing.
func DefaultAudit(state string) Audit {
	return Audit{Path: filepath.Join(state, "audit.jsonl"), Permits: 1, Rotate: 64 << 20, Keep: 16}
}

// audit reads the audit block.
func (r *reader) audit(b *hclsyntax.Block) {
	if !r.single(b) {
		return
	}
	a := r.block(b, "enabled", "file", "permits", "on_failure", "rotate", "keep", "keep_all")
	out := &r.p.Audit
	if v, ok := r.flag(a, "enabled"); ok {
		out.Off = !v
	}
	if s, at, ok := r.text(a, "file"); ok {
		if path := r.fileOf(element{s, at}, "file"); path != "" {
			out.Path = path
		}
	}
	if n, ok := r.oneIn(a, "permits", true); ok {
		out.Permits = n
	}
	if s, at, ok := r.text(a, "on_failure"); ok {
		if out.Drop = s == "drop-and-count"; !out.Drop && s != "deny" {
			r.problems.Add(at, `write "deny" or "drop-and-count"`, "on_failure: %q", s)
		}
	}
	if n, ok := r.bytes(a, "rotate", 4<<10, 1<<40); ok {
		out.Rotate = n
	}
	if n, ok := r.count(a, "keep"); ok {
		out.Keep = n
	}
	if all, ok := r.flag(a, "keep_all"); ok && all {
		out.Keep = 0
		if a["keep"] != nil {
			r.problems.Add(a["keep"].NameRange, "", "keep and keep_all = true contradict each other")
		}
	}
}
