// Package trail reads audit logs: the format of their lines and files, queries, and the verification of the hash chain.
package trail

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
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

// Line is an entry and its place in the chain.
type Line struct {
	Entry
	hashed []byte // what the hash is of
	Digest [sha256.Size]byte
}

// MaxLine bounds a line that is read. What is written is far below.
const MaxLine = 64 << 10

var errNoRecord = errors.New("not a record of an audit log")

// ParseLine reads a line, without its end.
func ParseLine(raw []byte) (*Line, error) {
	// The hash is the last field, always as long.
	at := len(raw) - len(HashField) - 2*sha256.Size - len(`"}`)
	if at < 0 || !bytes.HasPrefix(raw[at:], []byte(HashField)) || !bytes.HasSuffix(raw, []byte(`"}`)) {
		return nil, errNoRecord
	}
	l := &Line{hashed: raw[:at]}
	if _, err := hex.Decode(l.Digest[:], raw[at+len(HashField):len(raw)-2]); err != nil {
		return nil, errNoRecord
	}
	if err := json.Unmarshal(raw, &l.Entry); err != nil || l.Seq == 0 {
		return nil, errNoRecord
	}
	l.Raw = raw
	return l, nil
}

// LastRecord returns the last record of a file, nil if it is empty, and whether something
// that is none stands after it: a crash cuts lines off.
func LastRecord(r io.ReaderAt, size int64) (last *Line, torn bool, err error) {
	tail := make([]byte, min(size, 2*MaxLine))
	if _, err := r.ReadAt(tail, size-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return nil, false, err
	}
	for len(tail) > 0 {
		start := bytes.LastIndexByte(tail[:len(tail)-1], '\n') + 1
		raw, whole := bytes.CutSuffix(tail[start:], []byte{'\n'})
		if l, err := ParseLine(raw); err == nil && whole {
			return l, torn, nil
		}
		torn, tail = true, tail[:start]
	}
	if size > MaxLine {
		return nil, torn, errors.New("its end is no audit log: move the file away, and find out who wrote it")
	}
	return nil, torn, nil
}

// HashField stands between what a line's hash is of, and the hash.
const HashField = `,"hash":"`

// Link is the hash of a line that follows one with the hash prev.
func Link(prev [sha256.Size]byte, line []byte) [sha256.Size]byte {
	var d [sha256.Size]byte
	h := sha256.New()
	h.Write(prev[:])
	h.Write(line)
	h.Sum(d[:0])
	return d
}
