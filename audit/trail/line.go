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
	Detail    string `json:"detail,omitempty"` // version or error of a change of objects or of the policy
	Why       string `json:"why,omitempty"`    // reason of an open record
	Prev      string `json:"prev,omitempty"`   // open: hash of the previous record; kept: previous Sum
	Sum       string `json:"sum,omitempty"`    // kept: SHA-256 of the kept file
	// Exceeding is the limit that was exceeded, if that is the reason of a denial.
	Exceeding string      `json:"exceeding,omitempty"`
	Count     json.Number `json:"count,omitempty"` // dropped or late records; calls of a batch
	Item      int         `json:"item,omitempty"`  // number of the denied call in its batch, from 1
	// Methods are the different methods of a batch with several methods. Reasons are their rules, if they differ.
	// Order is the method of each call as an index, run-length encoded: "0*3 1 0".
	Methods []string `json:"methods,omitempty"`
	Reasons []string `json:"reasons,omitempty"`
	Order   string   `json:"order,omitempty"`
	Hash    string   `json:"hash"`

	Raw []byte `json:"-"` // the line without its '\n'
}

// Line is an entry and its position in the hash chain.
type Line struct {
	Entry
	hashed []byte // hashed part of the line
	Digest [sha256.Size]byte
}

// MaxLine bounds the bytes of a line that is read. Written lines are far shorter.
const MaxLine = 64 << 10

var errNoRecord = errors.New("not a record of an audit log")

// ParseLine parses a line without its '\n'. The result refers to raw.
func ParseLine(raw []byte) (*Line, error) {
	// The hash is the last field and has a fixed length.
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

// LastRecord returns the last record of a file of size bytes, nil if it has none. torn reports other bytes after the
// record: a crash leaves an incomplete line.
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
		return nil, torn, errors.New("the end of the file is not an audit log; move the file away and find its writer")
	}
	return nil, torn, nil
}

// HashField separates the hashed part of a line from its hash.
const HashField = `,"hash":"`

// Link returns the hash of a line that follows a line with the hash prev.
func Link(prev [sha256.Size]byte, line []byte) [sha256.Size]byte {
	var buf [1024]byte // ordinary lines are shorter
	return sha256.Sum256(append(append(buf[:0], prev[:]...), line...))
}
