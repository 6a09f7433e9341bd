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

// A flood of permits rotates old files away in minutes. So before an old file is removed, its evidence goes
// into the kept file beside the log: denials, what administrators and reloads changed, starts and stops, and
// the first permit of each principal, object and method. Each principal has a share of that file, and so
// cannot push out the evidence of another.
//
// A kept record is the line of the log as it was, with its number. The chain between kept records is gone. The
// log vouches for the kept file in its place: each change of it is a "kept" record with the SHA-256 of the
// whole file (sum) and of the file that it replaced (prev), written before the old file is removed.

// Bounds on the kept file, in bytes.
const (
	maxKept  = 16 << 20  // of all
	MaxShare = 128 << 10 // of one principal's denials, of the changes of one tenant, or of the host's own records
	minShare = 2 << 10   // where there are many
	// firstShare is the part of a share that the first permits of a principal have on top of it.
	firstShare = 4
)

// Set is the content of a kept file.
type Set struct {
	shares map[string]*share
	known  map[uint64]bool // numbers of all records
	first  map[uint64]bool // hashes of what permits are about
	seed   maphash.Seed
	share  int // bytes of a share
}

// share is the records of one owner, oldest first.
type share struct {
	records, firsts []Record
	bytes, first    int
}

type Record struct {
	seq  uint64
	kind string // what it has in common with its repeats
	raw  []byte
}

func NewSet() *Set {
	return &Set{shares: map[string]*share{}, known: map[uint64]bool{}, first: map[uint64]bool{},
		seed: maphash.MakeSeed(), share: MaxShare}
}

var permitText = []byte(`,"decision":"permit",`)

// Add takes a line of the log, if it is evidence and was not taken before. Lines come oldest first.
func (k *Set) Add(raw []byte) {
	about := uint64(0)
	permit := bytes.Contains(raw, permitText)
	if permit { // almost all are, and almost none is a first one
		if about = k.about(raw); k.first[about] {
			return
		}
	}
	l, err := trail.ParseLine(raw)
	if err != nil || k.known[l.Seq] || !permit && l.Decision == "" && noEvidence(&l.Entry) {
		return
	}
	s := k.of(owner(&l.Entry))
	r := Record{seq: l.Seq, raw: bytes.Clone(raw)}
	if permit {
		if s.first+len(raw) > k.share/firstShare {
			return // the oldest count
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
// escaped, so the names of fields are found nowhere else.
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

// noEvidence reports whether a record without a decision is about the log's own files alone.
func noEvidence(e *trail.Entry) bool {
	return e.Event == "kept" || e.Event == "open" && e.Why == "rotation"
}

// owner returns whose share a record is of: of its principal, where objects are of their tenant; else of the
// tenant whose object changed; else of the host.
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

func (k *Set) of(owner string) *share {
	s := k.shares[owner]
	if s == nil {
		s = &share{}
		k.shares[owner] = s
		// First permits come on top, and trimming later is to have room.
		k.share = max(minShare, min(MaxShare, maxKept*firstShare/(firstShare+1)/len(k.shares)))
	}
	return s
}

// trim leaves at most so many bytes of records: first repeats go, all but the oldest and the newest of each
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

// Read adds the records of a kept file, and returns its SHA-256 as text: "" if there is none.
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

// open opens a kept file that others cannot write.
func open(name string) (*os.File, error) {
	h, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0) //nolint:gosec // the operator names the audit log
	if err != nil {
		return nil, err
	}
	info, err := h.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s: not a regular file", name)
	case info.Mode().Perm()&0o077 != 0:
		err = fmt.Errorf("%s: others may read or write it: chmod 600 %s", name, shell.Path(name))
	}
	if err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// Write writes a file of kept records to the disk and returns its SHA-256.
func Write(name string, lines []Record) (sum string, err error) {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) { // a host that was killed left it
		return "", err
	}
	h, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600) //nolint:gosec // the operator names the audit log
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
