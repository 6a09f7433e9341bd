package socket

import (
	"errors"
	"io"
	"net"
	"os"

	"github.com/hearthhost/hearth/internal/socketpair"
)

// Pass returns a file that transmits the plaintext of the connection, for another process. The socket is adopted, idle
// and not parked. For a plain connection the file is the socket itself, and relay is nil: the caller closes this
// Socket. For a TLS or HMAC channel the caller runs relay after it has passed the file, or closes it. The caller closes
// the file before that.
func (s *Socket) Pass() (f *os.File, relay *Relay, err error) {
	if s.coded == nil {
		f, err = s.parked.Duplicate()
		return f, nil, err
	}
	to, f, err := socketpair.New()
	if err != nil {
		return nil, nil, err
	}
	return f, &Relay{s, to}, nil
}

// Relay copies plaintext between the channel of a client and the process that serves its connection.
type Relay struct {
	s  *Socket
	to *net.UnixConn
}

// relayBytes is the size of the two buffers of a relay.
const relayBytes = 4 << 10

// Run copies until one end is closed. After Drain of the socket, the process receives no more bytes: it sends the reply
// of its running call and closes its end.
func (r *Relay) Run() {
	replied := make(chan struct{})
	go func() { // ends when the process closes its end, or when the client does not read
		defer close(replied)
		_ = transfer(r.s, r.to)
		r.s.Drain() // ends the read below
	}()
	err := transfer(r.to, r.s.channel)
	if errors.Is(err, io.EOF) || r.s.Draining() {
		err = r.to.CloseWrite()
	}
	if err != nil {
		r.to.Close()
	}
	<-replied
	r.to.Close()
}

// Close ends a relay that does not run.
func (r *Relay) Close() { r.to.Close() }

// transfer copies until the first error, which it returns.
func transfer(to io.Writer, from io.Reader) error {
	b := make([]byte, relayBytes)
	for {
		n, err := from.Read(b)
		if n > 0 {
			if _, failed := to.Write(b[:n]); failed != nil {
				return failed
			}
		}
		if err != nil {
			return err
		}
	}
}
