package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"

	"github.com/hearthhost/hearth/internal/nonblock"
)

// resp is a connection to Redis. It implements the commands of the load only, as cheaply as a good client.
type resp struct {
	nc  net.Conn
	r   *bufio.Reader
	w   *bufio.Writer
	buf []byte // last text

	unhook func() bool
}

// dialResp opens a connection. The end of ctx closes it.
func dialResp(ctx context.Context, addr string) (*resp, error) {
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	unhook := context.AfterFunc(ctx, func() { nc.Close() })
	nc = nonblock.Wrap(nc) // like our client
	return &resp{nc: nc, unhook: unhook, r: bufio.NewReaderSize(nc, 64<<10), w: bufio.NewWriterSize(nc, 64<<10)}, nil
}

// send queues a command as an array of texts.
func (c *resp) send(args ...string) {
	c.head('*', len(args))
	for _, a := range args {
		c.head('$', len(a))
		_, _ = c.w.WriteString(a) // flush returns the error
		_, _ = c.w.WriteString("\r\n")
	}
}

func (c *resp) head(kind byte, n int) {
	_ = c.w.WriteByte(kind)
	_, _ = c.w.Write(strconv.AppendInt(c.w.AvailableBuffer(), int64(n), 10))
	_, _ = c.w.WriteString("\r\n")
}

// receive reads an answer: a number, or a text that is valid until the next call.
func (c *resp) receive() (number int64, text []byte, err error) {
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return 0, nil, err
	}
	if len(line) < 3 {
		return 0, nil, errors.New("redis: an empty line")
	}
	kind, rest := line[0], line[1:len(line)-2]
	switch kind {
	case ':':
		number, err = strconv.ParseInt(string(rest), 10, 64)
		return number, nil, err
	case '+':
		return 0, append(c.buf[:0], rest...), nil
	case '$':
		n, err := strconv.Atoi(string(rest))
		if err != nil || n < 0 || n > 64<<20 {
			return 0, nil, fmt.Errorf("redis: a text of %q bytes", rest)
		}
		if cap(c.buf) < n+2 {
			c.buf = make([]byte, n+2)
		}
		_, err = io.ReadFull(c.r, c.buf[:n+2])
		return 0, c.buf[:n], err
	default:
		return 0, nil, fmt.Errorf("redis: %s", line[:len(line)-2])
	}
}

// do makes one command.
func (c *resp) do(args ...string) (int64, []byte, error) {
	c.send(args...)
	if err := c.w.Flush(); err != nil {
		return 0, nil, err
	}
	return c.receive()
}

// sendCall queues a call of a function.
func (c *resp) sendCall(w *work) {
	switch {
	case w.method == "add":
		c.send("FCALL", "add", "0", strconv.FormatInt(w.a, 10), strconv.FormatInt(w.b, 10))
	case w.blob != nil:
		c.send("FCALL", "echo", "0", string(w.blob))
	default:
		c.send("FCALL", "echo", "0", w.text)
	}
}

func (c *resp) checkReply(w *work) error {
	number, text, err := c.receive()
	switch {
	case err != nil:
		return err
	case w.method == "add":
		return w.checkSum(number)
	case w.blob != nil:
		return w.checkBlob(text)
	default:
		return w.checkText(string(text))
	}
}

// call implements caller.
func (c *resp) call(ctx context.Context, w *work) error { return c.batch(ctx, w, 1) }

// batch implements caller: a pipeline.
func (c *resp) batch(_ context.Context, w *work, n int) error {
	for range n {
		c.sendCall(w)
	}
	if err := c.w.Flush(); err != nil {
		return err
	}
	for range n {
		if err := c.checkReply(w); err != nil {
			return err
		}
	}
	return nil
}

func (c *resp) close() {
	c.unhook()
	c.nc.Close()
}
