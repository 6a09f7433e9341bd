// Package channel converts between the bytes on a socket and the plaintext of a connection, without I/O: the caller
// reads and writes the socket. A [Codec] belongs to a connection whose peer is identified already. The handshake runs
// before, on a [net.Conn], because it takes several messages and the time of a public key operation.
//
// [Plain] is the codec of a connection without encryption, [TLS] that of a TLS connection, and
// [github.com/hearthhost/hearth/transport/signed.Codec] that of the HMAC channel; [Nested] is one inside another. Their
// user is the event loop (gateway/pyro/socket), which has no goroutine that could block in a net.Conn.
package channel

// Codec is both directions of one connection. Not safe for concurrent use.
type Codec interface {
	// Feed takes the next bytes from the socket, and appends the plaintext that they complete to dst. It keeps no
	// reference to in. Every error is final. It is io.EOF after an orderly end. Plaintext that arrived before the
	// error is returned with it.
	Feed(dst, in []byte) ([]byte, error)

	// Cut returns the error of a socket that ended after the bytes that were fed; nil if the peer's end was orderly.
	Cut() error

	// Seal appends the bytes to dst that transmit plain. Every error is final.
	Seal(dst, plain []byte) ([]byte, error)

	// End appends the orderly end of this side to dst. Further calls append nothing.
	End(dst []byte) []byte

	// Pending returns the number of fed bytes that belong to an incomplete record.
	Pending() int

	// Control appends messages of the codec itself to dst, such as the answer to a key update or an alert. Call it
	// after Feed, also if Feed fails.
	Control(dst []byte) []byte
}

// Plain is the codec of a connection without encryption. It has no state.
type Plain struct{}

// Feed implements [Codec].
func (Plain) Feed(dst, in []byte) ([]byte, error) { return append(dst, in...), nil }

// Cut implements [Codec]: the end of the socket is orderly.
func (Plain) Cut() error { return nil }

// Seal implements [Codec].
func (Plain) Seal(dst, plain []byte) ([]byte, error) { return append(dst, plain...), nil }

// End implements [Codec].
func (Plain) End(dst []byte) []byte { return dst }

// Pending implements [Codec].
func (Plain) Pending() int { return 0 }

// Control implements [Codec].
func (Plain) Control(dst []byte) []byte { return dst }
