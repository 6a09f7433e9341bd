package policy

import "path/filepath"

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
