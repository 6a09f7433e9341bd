package policy

import (
	"path/filepath"
	"strconv"
	"strings"

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
	if len(b.Labels) > 0 {
		r.problems.add(b.LabelRanges[0], "write audit { … }", "the audit block has no name")
	}
	if first, ok := r.p.Set["audit"]; ok {
		r.problems.add(b.TypeRange, "", "there is an audit block already, at %s", first)
		return
	}
	r.p.Set["audit"] = r.where(b.TypeRange)
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
	if s, at, ok := r.text(a, "permits"); ok {
		of, sampled := strings.CutPrefix(s, "1/")
		n, err := strconv.ParseUint(of, 10, 32)
		switch {
		case s == "all":
			out.Permits = 1
		case s == "none":
			out.Permits = 0
		case sampled && err == nil && n > 0:
			out.Permits = n
		default:
			r.problems.add(at, `write "all", "none" or "1/100"`, "permits: %q", s)
		}
	}
	if s, at, ok := r.text(a, "on_failure"); ok {
		if out.Drop = s == "drop-and-count"; !out.Drop && s != "deny" {
			r.problems.add(at, `write "deny" or "drop-and-count"`, "on_failure: %q", s)
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
			r.problems.add(a["keep"].NameRange, "", "keep and keep_all = true contradict each other")
		}
	}
}

// units are the suffixes of sizes.
var units = []struct {
	suffix string
	bytes  int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// bytes returns a size like "64MiB"; ok is false if it is missing or wrong.
func (r *reader) bytes(a attributes, name string, least, most int64) (n int64, ok bool) {
	s, at, ok := r.text(a, name)
	if !ok {
		return 0, false
	}
	for _, u := range units {
		digits, found := strings.CutSuffix(s, u.suffix)
		if !found {
			continue
		}
		if n, err := strconv.ParseInt(digits, 10, 64); err == nil && n <= most/u.bytes && n*u.bytes >= least {
			return n * u.bytes, true
		}
		break
	}
	r.problems.add(at, `write "64MiB"; units are B, KiB, MiB and GiB`, "%s: %q: want a size from %s to %s", name, s, sizeText(least), sizeText(most))
	return 0, false
}

// sizeText is a size as policies write it.
func sizeText(n int64) string {
	for _, u := range units {
		if n%u.bytes == 0 && n >= u.bytes {
			return strconv.FormatInt(n/u.bytes, 10) + u.suffix
		}
	}
	return "0B"
}
