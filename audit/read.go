package audit

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"slices"
	"strings"
)

// Entry is a line of the log, as it is read.
type Entry struct {
	Seq       uint64 `json:"seq"`
	Time      string `json:"time"` // UTC, RFC 3339 with microseconds
	Event     string `json:"event"`
	Decision  string `json:"decision,omitempty"` // permit or deny
	Principal string `json:"principal,omitempty"`
	Object    string `json:"object,omitempty"`
	Method    string `json:"method,omitempty"`
	Peer      string `json:"peer,omitempty"`
	Reason    string `json:"reason,omitempty"`
	Detail    string `json:"detail,omitempty"` // of a change of objects or the policy: which version, or why not
	Why       string `json:"why,omitempty"`    // of an open record
	Prev      string `json:"prev,omitempty"`   // of open: the hash it goes on from; of kept: the sum before
	Sum       string `json:"sum,omitempty"`    // of a kept record: the SHA-256 of the kept file
	// Exceeding is the limit that was exceeded, if that is why not.
	Exceeding string      `json:"exceeding,omitempty"`
	Count     json.Number `json:"count,omitempty"` // of a dropped or late record; calls of a batch
	Item      int         `json:"item,omitempty"`  // of a denied batch: which call, from 1 on
	// Methods are the different methods of a batch, if there is more than one, Reasons the rules of each, if
	// they differ, and Order which method each call is of, as "0*3 1 0".
	Methods []string `json:"methods,omitempty"`
	Reasons []string `json:"reasons,omitempty"`
	Order   string   `json:"order,omitempty"`
	Hash    string   `json:"hash"`

	Raw []byte `json:"-"` // the line, without its end
}

// line is an entry and its place in the chain.
type line struct {
	Entry
	hashed []byte // what the hash is of
	hash   [sha256.Size]byte
}

// maxLine bounds a line that is read. What is written is far below.
const maxLine = 64 << 10

var errNoRecord = errors.New("not a record of an audit log")

// parseLine reads a line, without its end.
func parseLine(raw []byte) (*line, error) {
	// The hash is the last field, always as long.
	at := len(raw) - len(hashField) - 2*sha256.Size - len(`"}`)
	if at < 0 || !bytes.HasPrefix(raw[at:], []byte(hashField)) || !bytes.HasSuffix(raw, []byte(`"}`)) {
		return nil, errNoRecord
	}
	l := &line{hashed: raw[:at]}
	if _, err := hex.Decode(l.hash[:], raw[at+len(hashField):len(raw)-2]); err != nil {
		return nil, errNoRecord
	}
	if err := json.Unmarshal(raw, &l.Entry); err != nil || l.Seq == 0 {
		return nil, errNoRecord
	}
	l.Raw = raw
	return l, nil
}

// lastRecord returns the last record of a file, nil if it is empty, and whether something
// that is none stands after it: a crash cuts lines off.
func lastRecord(r io.ReaderAt, size int64) (last *line, torn bool, err error) {
	tail := make([]byte, min(size, 2*maxLine))
	if _, err := r.ReadAt(tail, size-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return nil, false, err
	}
	for len(tail) > 0 {
		start := bytes.LastIndexByte(tail[:len(tail)-1], '\n') + 1
		raw, whole := bytes.CutSuffix(tail[start:], []byte{'\n'})
		if l, err := parseLine(raw); err == nil && whole {
			return l, torn, nil
		}
		torn, tail = true, tail[:start]
	}
	if size > maxLine {
		return nil, torn, errors.New("its end is no audit log: move the file away, and find out who wrote it")
	}
	return nil, torn, nil
}

// Matches reports whether the entry has every field that want has, of those a query asks
// for: event, decision, principal, object and method.
func (e *Entry) Matches(want *Entry) bool {
	same := func(have, want string) bool { return want == "" || have == want }
	return same(e.Event, want.Event) && same(e.Decision, want.Decision) && same(e.Principal, want.Principal) &&
		same(e.Object, want.Object) && (same(e.Method, want.Method) || slices.Contains(e.Methods, want.Method))
}

// Holds reports whether a record of the log has a hash.
func Holds(path, hash string) (bool, error) {
	for e, err := range Entries(path) {
		if err != nil {
			return false, err
		}
		if e.Hash == strings.ToLower(hash) {
			return true, nil
		}
	}
	return false, nil
}

// snapshot returns the files of a log at one moment: those that were set aside, oldest first,
// and the one that is written, open; nil if it is missing. A host that runs may set it aside
// meanwhile, and remove old ones.
func snapshot(path string) (old []string, current *os.File, err error) {
	const tries = 100 // each is in vain only if a file comes, or comes and goes, while names are listed
	missing := false
	for range tries {
		current, err = os.Open(path) //nolint:gosec // the operator's log
		if missing = errors.Is(err, os.ErrNotExist); err != nil && !missing {
			return nil, nil, err
		}
		// Whatever was set aside before the file is in the first list; the file itself is in the
		// second, if it was set aside after the first.
		for range 2 {
			if old, err = rotated(path); err != nil || missing {
				break
			}
			if sameFile(current, path) {
				return old, current, nil
			}
			if i := slices.IndexFunc(old, func(name string) bool { return sameFile(current, name) }); i >= 0 {
				return old[:i], current, nil
			}
		}
		if !missing {
			current.Close()
		}
		if err != nil {
			return nil, nil, err
		}
	}
	if missing {
		return old, nil, nil
	}
	return nil, nil, fmt.Errorf("%s: files are set aside faster than they can be read", path)
}

func sameFile(h *os.File, name string) bool {
	ours, err := h.Stat()
	theirs, errName := os.Stat(name)
	return err == nil && errName == nil && os.SameFile(ours, theirs)
}

// Entries returns the records of a log, oldest first: first those that were kept of files that are removed.
// What is no record is left out; [Verify] finds it. The error comes last.
func Entries(path string) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		err := eachEntry(path, func(e *Entry) bool { return yield(e, nil) })
		if err != nil && !errors.Is(err, errStopped) {
			yield(nil, err)
		}
	}
}

// eachEntry calls f with each record of a log. The error is errStopped if f returned false.
func eachEntry(path string, f func(*Entry) bool) error {
	old, current, err := snapshot(path)
	if err != nil {
		return err
	}
	if current != nil {
		defer current.Close()
	}
	begun := false // the kept records have been read
	first := func(seq uint64) error {
		begun = true
		return eachKept(path, seq, f)
	}
	each := func(_ int, raw []byte, _ bool) bool {
		l, err := parseLine(raw)
		return err != nil || f(&l.Entry)
	}
	for _, name := range old {
		// One that is gone was removed by age. Its evidence is in the kept file, which is read once a file is open
		// that follows it.
		h, err := os.Open(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if !begun {
			err = first(firstSeq(h))
		}
		if err == nil {
			err = scanLines(h, name, each)
		}
		h.Close()
		if err != nil {
			return err
		}
	}
	switch {
	case current != nil:
		if !begun {
			err = first(firstSeq(current))
		}
		if err == nil {
			err = scanLines(current, path, each)
		}
		return err
	case !begun:
		if err := first(math.MaxUint64); err != nil {
			return err
		}
		_, err = os.Stat(path) // which says that it is missing
		return err
	}
	return nil
}

// firstSeq returns the number of the first record of a file that nothing was read of, the largest number if
// there is none. It leaves the file at its beginning.
func firstSeq(h *os.File) uint64 {
	seq := uint64(math.MaxUint64)
	_ = scanLines(h, "", func(_ int, raw []byte, _ bool) bool {
		l, err := parseLine(raw)
		if err == nil {
			seq = l.Seq
		}
		return err != nil
	})
	_, _ = h.Seek(0, io.SeekStart)
	return seq
}

// eachKept calls f with each kept record before a number. A log without a kept file has none.
func eachKept(path string, before uint64, f func(*Entry) bool) error {
	h, err := os.Open(keptName(path))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer h.Close()
	return scanLines(h, keptName(path), func(_ int, raw []byte, _ bool) bool {
		l, err := parseLine(raw)
		return err != nil || l.Seq >= before || f(&l.Entry)
	})
}

var errStopped = errors.New("stopped")

// eachLine calls f with each line of a file, numbered from 1, and whether it has an end.
func eachLine(name string, f func(n int, raw []byte, whole bool) bool) error {
	h, err := os.Open(name) //nolint:gosec // the operator's log
	if err != nil {
		return err
	}
	defer h.Close()
	return scanLines(h, name, f)
}

func scanLines(from io.Reader, name string, f func(n int, raw []byte, whole bool) bool) error {
	r := bufio.NewReaderSize(from, maxLine)
	for n := 1; ; n++ {
		raw, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("%s:%d: a line longer than %d bytes", name, n, maxLine)
		}
		whole := err == nil
		if len(raw) > 0 && !f(n, bytes.Clone(bytes.TrimSuffix(raw, []byte("\n"))), whole) {
			return errStopped
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
