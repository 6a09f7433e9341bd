package upgrade

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Passage passes open connections from a parent to its child: each is one packet with a description and a descriptor.
// The two processes have the ends of a socket pair, which no other process can open. Send is safe for concurrent use.
type Passage struct{ conn *net.UnixConn }

// maxDescription bounds the description of a connection in bytes. It includes the certificates of a client.
const maxDescription = 128 << 10

// newPassage returns the parent's end of a new passage and the file of the child's end. It is an error on systems
// without packet sockets.
func newPassage() (*Passage, *os.File, error) {
	// A fork between the two steps would pass this pair to another process.
	syscall.ForkLock.RLock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "connections")
	p, err := OpenPassage(os.NewFile(uintptr(fds[0]), "connections"))
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return p, theirs, nil
}

// OpenPassage returns the passage of a file, which it closes.
func OpenPassage(f *os.File) (*Passage, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("opening the passage of connections: %w", err)
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, fmt.Errorf("the passage of connections is a %T, want a Unix socket", c)
	}
	return &Passage{conn}, nil
}

// Send passes a connection. The other process gets a duplicate of f, which the caller closes. After an error the other
// process has not got it.
func (p *Passage) Send(description []byte, f *os.File) error {
	if len(description) > maxDescription {
		return fmt.Errorf("passing a connection: a description of %d bytes, at most %d", len(description),
			maxDescription)
	}
	raw, err := f.SyscallConn() // Fd would make the connection blocking
	if err != nil {
		return fmt.Errorf("passing a connection: %w", err)
	}
	var sent error
	err = raw.Control(func(fd uintptr) {
		_ = p.conn.SetWriteDeadline(time.Now().Add(stepTimeout))
		_, _, sent = p.conn.WriteMsgUnix(description, unix.UnixRights(int(fd)), nil)
	})
	if err := errors.Join(err, sent); err != nil {
		return fmt.Errorf("passing a connection: %w", err)
	}
	return nil
}

// Receive returns the next connection, which the caller closes. It returns io.EOF when the parent has closed the
// passage. After another error with f == nil, Receive can be called again.
func (p *Passage) Receive() (description []byte, f *os.File, err error) {
	b := make([]byte, maxDescription)
	rights := make([]byte, unix.CmsgSpace(4))
	n, oobn, flags, _, err := p.conn.ReadMsgUnix(b, rights)
	if err != nil || n == 0 && oobn == 0 {
		return nil, nil, io.EOF
	}
	fds, err := descriptorsOf(rights[:oobn])
	if err == nil && (len(fds) != 1 || flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0) {
		err = errors.New("a packet without exactly one descriptor; this process may have too many open files")
	}
	if err != nil {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
		return nil, nil, fmt.Errorf("receiving a connection of the old process: %w", err)
	}
	return b[:n:n], os.NewFile(uintptr(fds[0]), "connection"), nil
}

// descriptorsOf returns the descriptors of a packet. They have close-on-exec set.
func descriptorsOf(rights []byte) (fds []int, err error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	for i := range messages {
		some, failed := unix.ParseUnixRights(&messages[i])
		fds, err = append(fds, some...), errors.Join(err, failed)
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	return fds, err
}

// Close ends the passage. The other process gets io.EOF after the connections that were sent.
func (p *Passage) Close() {
	if p != nil {
		p.conn.Close()
	}
}
