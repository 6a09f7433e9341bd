// Package signed implements the HMAC channel: a record layer on a stream connection. It provides integrity and mutual
// authentication by a shared 256-bit key, and no confidentiality.
//
//	C→S  "HRTHMAC1" | u8 n | n bytes key id | 32 bytes client nonce
//	S→C  "HRTHMAC1" | 32 bytes server nonce | 32 bytes server proof
//	C→S  32 bytes client proof
//	then both ways records: u32 length | bytes | 32 bytes tag
//
// Integers are big-endian. The transcript is the SHA-256 of both hellos up to the server's proof. HKDF derives four
// keys from the shared key, with the transcript as salt: for each side one key for its proof, an HMAC over the
// transcript, and one for its records. A tag is an HMAC over the record's number in its direction (u64, from 0), its
// length and its bytes. An empty record ends a direction; a stream that ends without it was cut.
//
// A [Conn] is a [net.Conn]. Any wrong input ends it in both directions, before a byte of the wrong record is
// returned. A read can continue after its deadline; a write deadline breaks the connection, as with TLS.
//
// Source: doc/security.md "The HMAC channel".
package signed

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Magic is the first bytes of a channel in both directions.
const Magic = "HRTHMAC1"

// Sizes in bytes.
const (
	KeyBytes    = 32
	MaxIDBytes  = 64      // key id; at least one byte
	MaxRecord   = 1 << 16 // content of a record
	nonceBytes  = 32
	macBytes    = sha256.Size
	lengthBytes = 4
)

// Key is a shared secret. Its formatted text does not contain it.
type Key [KeyBytes]byte

// Format implements [fmt.Formatter] for every verb.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[key]") }

// MarshalText implements encoding.TextMarshaler.
func (Key) MarshalText() ([]byte, error) { return []byte("[key]"), nil }

// Errors of a connection.
var (
	// ErrProof reports that the peer did not prove possession of the key.
	ErrProof = errors.New("the other end did not prove that it has the key")
	// ErrIntegrity reports that the received bytes differ from the sent ones.
	ErrIntegrity = errors.New("a record was altered, lost, repeated or reordered on its way")
	// ErrLeft reports that a client rejected the server's proof: its key differs, or the server has no key with that
	// id.
	ErrLeft = fmt.Errorf("unknown, or the client has another key for it: it left at the host's proof (%w)",
		io.ErrUnexpectedEOF)
	// errHello reports that the peer uses another protocol.
	errHello = errors.New("the other end does not use the HMAC channel")
)

// closeTimeout bounds the transmission of the final record.
const closeTimeout = time.Second

// Conn is one end of a channel. Reads and writes may run concurrently. The first of them makes the handshake, unless
// Handshake was called.
type Conn struct {
	nc     net.Conn
	server bool
	find   func(id string) (Key, bool) // server only
	id     string
	key    Key // client only

	hs     sync.Mutex
	done   atomic.Bool // the handshake succeeded
	failed error       // error of the handshake; guarded by hs

	in  reader
	out writer
}

// Client returns the client's end of a channel on nc. The server must have the key under the same id, which has 1 to
// [MaxIDBytes] bytes.
func Client(nc net.Conn, id string, key Key) *Conn {
	return &Conn{nc: nc, id: id, key: key}
}

// Server returns the server's end. find returns the key of an id. A client with an unknown id gets the same answer as a
// client with a wrong key.
func Server(nc net.Conn, find func(id string) (Key, bool)) *Conn {
	return &Conn{nc: nc, server: true, find: find}
}

// KeyID returns the id of the key that both ends have proven; "" before the handshake.
func (c *Conn) KeyID() string {
	if !c.done.Load() {
		return ""
	}
	return c.id
}

// Handshake proves to each end that the other has the key. The connection's deadline bounds it. A failure is final and
// closes the connection. The error is [ErrProof] if the peer does not have the key.
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
			return fmt.Errorf(
				"the other end closed the connection instead of answering; does it accept the channel? %w",
				io.ErrUnexpectedEOF)
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
		// The id is from the client, so it is escaped. The text is the same for unknown ids.
		return fmt.Errorf("key id %+q: %w", id, err)
	}
	c.id = id
	return nil
}

// serverProves answers the hello of a client.
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
	// No client can compute the proof of a decoy. Rejecting it in any case is a second check.
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

// decoySecret derives the keys of unknown ids.
var decoySecret = random()

// decoy returns a key that is constant for an id, like a real key.
func decoy(id string) (k Key) {
	mac := hmac.New(sha256.New, decoySecret)
	mac.Write([]byte(id))
	mac.Sum(k[:0])
	return k
}

// choose returns a if yes is true and b otherwise, in constant time.
func choose(yes bool, a, b Key) Key {
	n := 0
	if yes {
		n = 1
	}
	subtle.ConstantTimeCopy(n, b[:], a[:])
	return b
}

// whole maps io.EOF to the error of an incomplete message.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// keys are the derived keys of both sides.
type keys struct {
	serverProof, clientProof   []byte // computed proofs
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
		*to, err = hkdf.Expand(sha256.New, prk, "hearth hmac 1 "+label, KeyBytes)
		if err != nil {
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

// CloseWrite sends the final record.
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

// Close ends both directions. It sends the final record unless a write is running, so that the peer does not take the
// end for a cut.
func (c *Conn) Close() error {
	if c.done.Load() && c.out.mu.TryLock() {
		_ = c.nc.SetWriteDeadline(time.Now().Add(closeTimeout))
		_ = c.out.endLocked()
		c.out.mu.Unlock()
	}
	return c.nc.Close()
}

// SyscallConn implements [syscall.Conn]. It is for querying the socket, not for reading it.
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
