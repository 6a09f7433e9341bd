package pyro

import (
	"errors"
	"log/slog"
	"time"

	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/gateway/pyro/socket"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// maxSkipped bounds the bytes of a message that is too large. The host reads them and keeps nothing, so that
// the peer can finish sending and then reads why the message is refused. It has [Config].MessageTimeout for that.
const maxSkipped = 256 << 20

// refuseLarge answers a message that the reader refused as too large, reads the rest of it, and closes.
func (c *conn) refuseLarge(m *wire.Message, err error) {
	c.s.queue.Release(&c.slot, false) // reading the rest needs no slot
	c.logLarge(err)
	ser := pyro.Serializer(m.Protocol, m.Serializer)
	if m.Type == wire.Invoke && m.Flags&wire.Oneway == 0 && ser != nil {
		answer := &wire.Message{Protocol: c.peer.Protocol, Type: wire.Result, Serializer: m.Serializer, Seq: m.Seq}
		socket.Correlate(m, answer)
		if !c.fail(answer, ser, notExecuted(err)) {
			return
		}
	}
	c.socket.ReadBy(time.Now().Add(c.s.messageTimeout))
	if c.in.Skip(maxSkipped) == nil {
		c.socket.Linger()
	}
}

// logLarge logs that a message is too large: its size, unless it is compressed, and the bound.
func (c *conn) logLarge(err error) {
	c.log(slog.LevelWarn,
		"connection closed: a message is too large; limits { arguments } of a tenant raises the bound",
		"principal", string(c.peer.Caller.Principal), "peer", c.peer.Caller.Peer.Addr, "err", err)
}

// notExecuted adds to the message of an error that the call was not executed.
func notExecuted(err error) error {
	var e *object.Error
	if !errors.As(err, &e) {
		return err
	}
	told := *e
	told.Msg += "; not executed"
	return &told
}

// tooLarge reports whether an error is about a message, or its inflated payload, above the bound.
func tooLarge(err error) bool {
	var e *object.Error
	return errors.As(err, &e) && e.Reason == object.ReasonMessage
}
