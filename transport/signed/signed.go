// Package signed is the HMAC channel: a record layer on a stream connection that gives
// integrity and mutual authentication by a shared 256-bit key, and no secrecy.
//
//	C→S  "HRTHMAC1" | u8 n | n bytes key id | 32 bytes client nonce
//	S→C  "HRTHMAC1" | 32 bytes server nonce | 32 bytes server proof
//	C→S  32 bytes client proof
//	then both ways records: u32 length | bytes | 32 bytes tag
//
// Integers are big-endian. The transcript is the SHA-256 of both hellos up to the server's
// proof. From it as salt, and the key, HKDF makes four keys: each side's for its proof,
// an HMAC over the transcript, and for its records. A tag is an HMAC over the record's
// number in its direction (u64, from 0), its length and its bytes. A record of no bytes
// ends a direction; a stream that ends without one was cut.
//
// A [Conn] is a [net.Conn]. Whatever arrives wrong ends it for good, both ways, before any
// byte of the wrong record is handed out. A deadline that passes while reading does no
// harm; one that passes while writing does, as for TLS.
//
// Source: doc/security.md "The HMAC channel".
package signed

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Magic begins every connection of this kind, from both sides.
const Magic = "HRTHMAC1"

// Sizes in bytes.
const (
	KeyBytes    = 32
	MaxIDBytes  = 64      // of a key id; at least one
	MaxRecord   = 1 << 16 // of a record's content
	nonceBytes  = 32
	macBytes    = sha256.Size
	lengthBytes = 4
)

// Key is a shared secret. It does not print itself.
type Key [KeyBytes]byte

// Format implements [fmt.Formatter] for every verb.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[key]") }

// MarshalText implements encoding.TextMarshaler.
func (Key) MarshalText() ([]byte, error) { return []byte("[key]"), nil }

// Why a connection ended.
var (
	// ErrProof says that the other end did not prove that it has the key.
	ErrProof = errors.New("the other end did not prove that it has the key")
	// ErrIntegrity says that what arrived is not what the other end sent.
	ErrIntegrity = errors.New("a record was altered, lost, repeated or reordered on its way")
	// ErrLeft says that a client did not like the server's proof: its key is another, or the
	// server has none of that id.
	ErrLeft = fmt.Errorf("unknown, or the client has another key for it: it left at the host's proof (%w)",
		io.ErrUnexpectedEOF)
	// errHello says that the other end speaks something else.
	errHello = errors.New("the other end does not speak the HMAC channel")
)

// closeTimeout bounds how long saying goodbye may take.
const closeTimeout = time.Second

// Conn is one end of a channel. Reads and writes may run concurrently; the handshake runs
// with the first of them, or by Handshake.
type Conn struct {
	nc     net.Conn
	server bool
	find   func(id string) (Key, bool) // of a server
	id     string
	key    Key // of a client

	hs     sync.Mutex
	done   atomic.Bool // the handshake succeeded
	failed error       // why it did not; guarded by hs

	in  reader
	out writer
}

// Client returns the client's end of a channel on nc with one of the keys that the server
// knows. id has 1 to [MaxIDBytes] bytes.
func Client(nc net.Conn, id string, key Key) *Conn {
	return &Conn{nc: nc, id: id, key: key}
}

// Server returns the server's end. find returns the key of an id. A client that names an
// id that find does not know is answered like one that has a wrong key.
func Server(nc net.Conn, find func(id string) (Key, bool)) *Conn {
	return &Conn{nc: nc, server: true, find: find}
}

// KeyID returns the id of the key that both ends have proven to have; it is empty before
// the handshake.
func (c *Conn) KeyID() string {
	if !c.done.Load() {
		return ""
	}
	return c.id
}

// Handshake makes sure that each end has the key. It is bounded by the connection's
// deadline and in size. A failure is final and closes the connection: [ErrProof] if the
// other end has not the key.
func (c *Conn) Handshake() error {
	if c.done.Load() {
		return nil
	}
	c.hs.Lock()
	defer c.hs.Unlock()
	if c.done.Load() || c.failed != nil {
		return c.failed
	}
	var err error
	if c.server {
		err = c.serverHandshake()
	} else {
		err = c.clientHandshake()
	}
	c.key = Key{}
	if err != nil {
		c.failed = fmt.Errorf("HMAC channel: %w", err)
		c.nc.Close()
		return c.failed
	}
	c.done.Store(true)
	return nil
}

func (c *Conn) clientHandshake() error {
	if len(c.id) < 1 || len(c.id) > MaxIDBytes {
		return fmt.Errorf("a key id has 1 to %d bytes", MaxIDBytes)
	}
	hello := append([]byte(Magic), byte(len(c.id)))
	hello = append(hello, c.id...)
	hello = append(hello, random()...)
	if _, err := c.nc.Write(hello); err != nil {
		return err
	}
	answer := make([]byte, len(Magic)+nonceBytes+macBytes)
	if n, err := io.ReadFull(c.nc, answer[:len(Magic)]); err != nil {
		if n == 0 && errors.Is(err, io.EOF) {
			return fmt.Errorf("the other end closed the connection instead of answering; is the channel taken there? %w", io.ErrUnexpectedEOF)
		}
		return whole(err)
	}
	if string(answer[:len(Magic)]) != Magic {
		return errHello
	}
	if _, err := io.ReadFull(c.nc, answer[len(Magic):]); err != nil {
		return whole(err)
	}
	greeting, proof := answer[:len(Magic)+nonceBytes], answer[len(Magic)+nonceBytes:]
	k, err := derive(hello, greeting, c.key)
	if err != nil {
		return err
	}
	if !hmac.Equal(proof, k.serverProof) {
		return ErrProof
	}
	if _, err := c.nc.Write(k.clientProof); err != nil {
		return err
	}
	c.in.init(c.nc, k.serverRecord)
	c.out.init(c.nc, k.clientRecord)
	return nil
}

func (c *Conn) serverHandshake() error {
	head := make([]byte, len(Magic)+1, len(Magic)+1+MaxIDBytes+nonceBytes)
	if _, err := io.ReadFull(c.nc, head); err != nil {
		return whole(err)
	}
	n := int(head[len(Magic)])
	if string(head[:len(Magic)]) != Magic || n < 1 || n > MaxIDBytes {
		return errHello
	}
	hello := head[:len(head)+n+nonceBytes]
	if _, err := io.ReadFull(c.nc, hello[len(head):]); err != nil {
		return whole(err)
	}
	id := string(hello[len(head) : len(head)+n])
	if err := c.serverProves(id, hello); err != nil {
		// Anybody may name any id: it is told escaped, and the same of one that nobody has.
		return fmt.Errorf("key id %+q: %w", id, err)
	}
	c.id = id
	return nil
}

// serverProves answers the hello of a client that says which key it has.
func (c *Conn) serverProves(id string, hello []byte) error {
	key, known := c.find(id)
	key = choose(known, key, decoy(id))
	greeting := append([]byte(Magic), random()...)
	k, err := derive(hello, greeting, key)
	if err != nil {
		return err
	}
	if _, err := c.nc.Write(append(greeting, k.serverProof...)); err != nil {
		return err
	}
	proof := make([]byte, macBytes)
	if n, err := io.ReadFull(c.nc, proof); n == 0 && errors.Is(err, io.EOF) {
		return ErrLeft
	} else if err != nil {
		return whole(err)
	}
	// A decoy's proof cannot be known to anybody; that it would not count either is the
	// second lock.
	if !hmac.Equal(proof, k.clientProof) || !known {
		return ErrProof
	}
	c.in.init(c.nc, k.clientRecord)
	c.out.init(c.nc, k.serverRecord)
	return nil
}

// random returns a nonce.
func random() []byte {
	b := make([]byte, nonceBytes)
	_, _ = rand.Read(b) // never fails
	return b
}

// decoySecret makes the keys of ids that nobody has.
var decoySecret = random()

// decoy returns a key that is always the same for one id, as a real one is.
func decoy(id string) (k Key) {
	mac := hmac.New(sha256.New, decoySecret)
	mac.Write([]byte(id))
	mac.Sum(k[:0])
	return k
}

// choose returns a if yes, else b, in the same time.
func choose(yes bool, a, b Key) Key {
	n := 0
	if yes {
		n = 1
	}
	subtle.ConstantTimeCopy(n, b[:], a[:])
	return b
}

// whole turns the end of the stream into what it is in the middle of something.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// keys are what both sides derive.
type keys struct {
	serverProof, clientProof   []byte // the proofs themselves
	serverRecord, clientRecord []byte
}

func derive(hello, greeting []byte, key Key) (k keys, err error) {
	transcript := sha256.Sum256(append(append(make([]byte, 0, len(hello)+len(greeting)), hello...), greeting...))
	prk, err := hkdf.Extract(sha256.New, key[:], transcript[:])
	if err != nil {
		return k, err
	}
	for label, to := range map[string]*[]byte{
		"server proof": &k.serverProof, "client proof": &k.clientProof,
		"server record": &k.serverRecord, "client record": &k.clientRecord,
	} {
		if *to, err = hkdf.Expand(sha256.New, prk, "hearth hmac 1 "+label, KeyBytes); err != nil {
			return k, err
		}
	}
	for _, proof := range []*[]byte{&k.serverProof, &k.clientProof} {
		mac := hmac.New(sha256.New, *proof)
		mac.Write(transcript[:])
		*proof = mac.Sum(nil)
	}
	return k, nil
}

// tagger makes the tags of one direction, each once.
type tagger struct {
	mac     hash.Hash
	counter uint64
	head    [8]byte
	tag     [macBytes]byte
}

// next returns the tag of the next record, given its length and bytes. It is valid until
// the next call.
func (t *tagger) next(record []byte) []byte {
	t.mac.Reset()
	binary.BigEndian.PutUint64(t.head[:], t.counter)
	t.counter++
	t.mac.Write(t.head[:])
	t.mac.Write(record)
	return t.mac.Sum(t.tag[:0])
}

// Read implements [net.Conn].
func (c *Conn) Read(p []byte) (int, error) {
	if err := c.Handshake(); err != nil {
		return 0, err
	}
	n, err := c.in.read(p)
	if errors.Is(err, ErrIntegrity) {
		c.nc.Close()
	}
	return n, err
}

// Write implements [net.Conn]. It sends p in records of at most [MaxRecord] bytes.
func (c *Conn) Write(p []byte) (int, error) {
	if err := c.Handshake(); err != nil {
		return 0, err
	}
	return c.out.write(p)
}

// CloseWrite tells the other end that nothing more comes.
func (c *Conn) CloseWrite() error {
	if err := c.Handshake(); err != nil {
		return err
	}
	err := c.out.end()
	if w, ok := c.nc.(interface{ CloseWrite() error }); ok && err == nil {
		err = w.CloseWrite()
	}
	return err
}

// Close ends both directions. If nobody is writing, the other end is told, so that it
// does not take this for a cut.
func (c *Conn) Close() error {
	if c.done.Load() && c.out.mu.TryLock() {
		_ = c.nc.SetWriteDeadline(time.Now().Add(closeTimeout))
		_ = c.out.endLocked()
		c.out.mu.Unlock()
	}
	return c.nc.Close()
}

// SyscallConn implements [syscall.Conn], for asking the socket, not for reading it.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if sc, ok := c.nc.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// LocalAddr implements [net.Conn].
func (c *Conn) LocalAddr() net.Addr { return c.nc.LocalAddr() }

// RemoteAddr implements [net.Conn].
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// SetDeadline implements [net.Conn].
func (c *Conn) SetDeadline(t time.Time) error { return c.nc.SetDeadline(t) }

// SetReadDeadline implements [net.Conn].
func (c *Conn) SetReadDeadline(t time.Time) error { return c.nc.SetReadDeadline(t) }

// SetWriteDeadline implements [net.Conn].
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.nc.SetWriteDeadline(t) }
