// Package evidence selects the records of old log files that must outlive them, within bounds for each owner, and keeps
// them in one file.
package evidence

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/hearthhost/hearth/audit/trail"
	"github.com/hearthhost/hearth/internal/shell"
	"github.com/hearthhost/hearth/object"
)

// A flood of permits rotates old files away in minutes. So before the host removes an old file, its evidence moves to
// the kept file in the same folder: denials, changes by administrators and reloads, starts and stops, and the first
// permit of each principal, object and method. Each principal has a share of that file and cannot displace the
// evidence of another.
//
// A kept record is the unchanged line of the log with its number. There is no hash chain between kept records.
// Instead each change of the kept file is a "kept" record in the log, written before the old file is removed. It has
// the SHA-256 of the new kept file (sum) and of the replaced one (prev).

// Bounds on the kept file, in bytes.
const (
	maxKept  = 16 << 20  // whole file
	MaxShare = 128 << 10 // one principal's denials, one tenant's changes, or the host's own records
	minShare = 2 << 10   // the same, with many owners
	// firstShare is the divisor for first permits: a principal has 1/firstShare of a share for them, in addition.
	firstShare = 4
)

// Set is the content of a kept file.
type Set struct {
	shares map[string]*share
	known  map[uint64]bool // numbers of all records
	first  map[uint64]bool // hashes of the permits that have a first record
	seed   maphash.Seed
	share  int // bytes of a share
}

// share is the records of one owner, oldest first.
type share struct {
	records, firsts []Record
	bytes, first    int
}

// Record is a kept line.
type Record struct {
	seq  uint64
	kind string // equal for repeats of a record
	raw  []byte
}

// NewSet returns an empty set.
func NewSet() *Set {
	return &Set{
		shares: map[string]*share{},
		known:  map[uint64]bool{},
		first:  map[uint64]bool{},
		seed:   maphash.MakeSeed(),
		share:  MaxShare,
	}
}

var permitText = []byte(`,"decision":"permit",`)

// Add adds a line of the log if it is new evidence. Lines are added oldest first.
func (k *Set) Add(raw []byte) {
	about := uint64(0)
	permit := bytes.Contains(raw, permitText)
	if permit { // most lines are repeated permits: skip them before parsing
		about = k.about(raw)
		if k.first[about] {
			return
		}
	}
	l, err := trail.ParseLine(raw)
	if err != nil || k.known[l.Seq] || !permit && l.Decision == "" && noEvidence(&l.Entry) {
		return
	}
	s := k.ofOwner(owner(&l.Entry))
	r := Record{seq: l.Seq, raw: bytes.Clone(raw)}
	if permit {
		if s.first+len(raw) > k.share/firstShare {
			return // the oldest permits are kept
		}
		k.first[about] = true
		s.first += len(raw) + 1
		s.firsts = append(s.firsts, r)
	} else {
		r.kind = strings.Join([]string{l.Event, l.Object, l.Method, l.Reason, l.Detail}, "\x00")
		s.bytes += len(raw) + 1
		s.records = append(s.records, r)
		if s.bytes > 2*k.share {
			s.trim(k.share)
		}
	}
	k.known[l.Seq] = true
}

// about returns a hash of the principal, the object and the methods of a permit. Quotation marks in texts are
// escaped, so a field name occurs only as a field.
func (k *Set) about(raw []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(k.seed)
	for _, field := range []string{`,"principal":"`, `,"object":"`, `,"method":"`, `,"methods":["`} {
		_, value, found := bytes.Cut(raw, []byte(field))
		if !found {
			continue
		}
		end := `"`
		if strings.HasSuffix(field, `["`) {
			end = `"]`
		}
		value, _, _ = bytes.Cut(value, []byte(end))
		_, _ = h.WriteString(field)
		_, _ = h.Write(value)
	}
	return h.Sum64()
}

// noEvidence reports whether a record without a decision is about the files of the log only.
func noEvidence(e *trail.Entry) bool {
	return e.Event == "kept" || e.Event == "open" && e.Why == trail.WhyRotation
}

// owner returns the owner of a record's share: its principal; the tenant if the principal is an object; the tenant of a
// changed object; or the host.
func owner(e *trail.Entry) string {
	if id, ok := object.Principal(e.Principal).Object(); ok {
		return "objects of " + string(id.Tenant())
	}
	switch {
	case e.Principal != "":
		return "principal " + e.Principal
	case e.Object != "":
		return "tenant " + string(object.ID(e.Object).Tenant())
	}
	return "host"
}

// ofOwner returns the share of an owner and adjusts the size of all shares.
func (k *Set) ofOwner(owner string) *share {
	s := k.shares[owner]
	if s == nil {
		s = &share{}
		k.shares[owner] = s
		// Leave room for first permits, which are in addition to the share.
		k.share = max(minShare, min(MaxShare, maxKept*firstShare/(firstShare+1)/len(k.shares)))
	}
	return s
}

// trim reduces the records to at most most bytes. It removes repeats first, except the oldest and the newest of each
// kind, and then the oldest records.
func (s *share) trim(most int) {
	if s.bytes <= most {
		return
	}
	newest := map[string]uint64{}
	for _, r := range s.records {
		newest[r.kind] = r.seq
	}
	seen := map[string]bool{}
	s.records = slices.DeleteFunc(s.records, func(r Record) bool {
		repeat := seen[r.kind] && newest[r.kind] != r.seq
		seen[r.kind] = true
		if repeat {
			s.bytes -= len(r.raw) + 1
		}
		return repeat
	})
	n := 0
	for ; s.bytes > most; n++ {
		s.bytes -= len(s.records[n].raw) + 1
	}
	s.records = slices.Delete(s.records, 0, n)
}

// Records returns the records within their bounds, oldest first.
func (k *Set) Records() []Record {
	var out []Record
	for _, s := range k.shares {
		s.trim(k.share)
		for s.first > k.share/firstShare {
			last := len(s.firsts) - 1
			s.first -= len(s.firsts[last].raw) + 1
			s.firsts = s.firsts[:last]
		}
		out = append(out, s.records...)
		out = append(out, s.firsts...)
	}
	slices.SortFunc(out, func(a, b Record) int { return cmp.Compare(a.seq, b.seq) })
	return out
}

// Read adds the records of a kept file and returns its SHA-256 in hexadecimal, "" if the file does not exist.
func (k *Set) Read(name string) (sum string, err error) {
	h, err := open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer h.Close()
	hash := sha256.New()
	err = trail.ScanLines(h, name, func(_ int, raw []byte, whole bool) bool {
		hash.Write(raw)
		if whole {
			hash.Write([]byte{'\n'})
		}
		k.Add(raw)
		return true
	})
	return hex.EncodeToString(hash.Sum(nil)), err
}

// open opens a kept file that other users cannot access.
func open(name string) (*os.File, error) {
	h, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0) //nolint:gosec // operator's file
	if err != nil {
		return nil, err
	}
	info, err := h.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s: not a regular file", name)
	case info.Mode().Perm()&0o077 != 0:
		err = fmt.Errorf("%s: other users may read or write it; run chmod 600 %s", name, shell.Path(name))
	}
	if err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// Write writes a file of kept records to the disk and returns its SHA-256.
func Write(name string, lines []Record) (sum string, err error) {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) { // left by a killed host
		return "", err
	}
	const flags = os.O_WRONLY | os.O_CREATE | os.O_EXCL | syscall.O_NOFOLLOW
	h, err := os.OpenFile(name, flags, 0o600) //nolint:gosec // operator's file
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	w := bufio.NewWriter(h)
	for _, r := range lines {
		for _, part := range [][]byte{r.raw, {'\n'}} {
			hash.Write(part)
			_, _ = w.Write(part) // Flush has the error
		}
	}
	if err := errors.Join(w.Flush(), h.Sync(), h.Close()); err != nil {
		return "", errors.Join(err, os.Remove(name))
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
