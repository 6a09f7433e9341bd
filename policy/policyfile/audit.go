package policyfile

import (
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/policy/syntax"
)

// audit reads the audit block.
func (r *reader) audit(b *hclsyntax.Block) {
	if !r.single(b) {
		return
	}
	a := r.Block(b, "enabled", "file", "permits", "on_failure", "rotate", "keep", "keep_all")
	out := &r.def.Audit
	if v, ok := r.Flag(a, "enabled"); ok {
		out.Off = !v
	}
	if s, at, ok := r.Text(a, "file"); ok {
		if path := r.FileOf(syntax.Element{Text: s, At: at}, "file"); path != "" {
			out.Path = path
		}
	}
	if n, ok := r.OneIn(a, "permits", true); ok {
		out.Permits = n
	}
	if s, at, ok := r.Text(a, "on_failure"); ok {
		if out.Drop = s == "drop-and-count"; !out.Drop && s != "deny" {
			r.Problems.Add(at, `write "deny" or "drop-and-count"`, "on_failure: %q", s)
		}
	}
	if n, ok := r.Bytes(a, "rotate", 4<<10, 1<<40); ok {
		out.Rotate = n
	}
	if n, ok := r.Count(a, "keep"); ok {
		out.Keep = n
	}
	if all, ok := r.Flag(a, "keep_all"); ok && all {
		out.Keep = 0
		if a["keep"] != nil {
			r.Problems.Add(a["keep"].NameRange, "", "keep and keep_all = true contradict each other")
		}
	}
}
