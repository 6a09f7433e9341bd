package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// exchange is a prepared request with its only right answer.
type exchange struct {
	name    string
	request []byte
	answer  []byte
	free    [2]int // range of the answer whose bytes differ from call to call
}

// hearthExchange returns a call, or a batch if batch is more than 1, in the messages of Pyro4 with serpent. The
// messages are those of a Pyro4 client. The host puts a random correlation id on each answer.
func hearthExchange(id object.ID, w *work, batch int) (*exchange, error) {
	ser := codec.ByID(codec.Serpent)
	request := wire.Message{
		Protocol:   wire.Pyro4,
		Type:       wire.Invoke,
		Serializer: pyro.SerializerNumber(wire.Pyro4, ser),
		Seq:        1,
	}
	answer := request
	answer.Type, answer.HasCorr = wire.Result, true
	params, result, err := arguments(w), w.result(), error(nil)
	if batch == 1 {
		request.Payload, err = pyro.AppendCall(ser, nil, string(id), w.method, params, nil, false)
	} else {
		calls, results := make([]any, batch), make([]any, batch)
		for i := range calls {
			calls[i] = codec.Tuple{w.method, codec.Tuple(params), map[string]any{}}
			results[i] = result
		}
		request.Flags, answer.Flags = wire.Batch, wire.Batch
		result = results
		request.Payload, err = pyro.AppendCall(ser, nil, string(id), "<batch>", calls, nil, true)
	}
	if err != nil {
		return nil, err
	}
	if answer.Payload, err = codec.Append(ser, nil, result); err != nil {
		return nil, err
	}
	x := &exchange{name: w.name}
	if x.request, err = wire.Append(nil, &request); err != nil {
		return nil, err
	}
	if x.answer, err = wire.Append(nil, &answer); err != nil {
		return nil, err
	}
	const head, idBytes = 24 + 4 + 2, 16 // the header, then name and length of the annotation with the id
	x.free = [2]int{head, head + idBytes}
	return x, nil
}

// result returns the right result of the work.
func (w *work) result() any {
	switch {
	case w.method == "add":
		return w.a + w.b
	case w.blob != nil:
		return w.blob
	default:
		return w.text
	}
}

// redisExchange returns a call of a function of redis.lua, or a pipeline of calls.
func redisExchange(w *work, batch int) *exchange {
	x := &exchange{name: w.name}
	request, answer := new(byteWriter), fmt.Appendf(nil, ":%d\r\n", w.a+w.b)
	if w.method == "echo" {
		answer = fmt.Appendf(nil, "$%d\r\n%s\r\n", len(w.text), w.text)
	}
	c := resp{w: bufio.NewWriter(request)}
	for range batch {
		c.sendCall(w)
		x.answer = append(x.answer, answer...)
	}
	_ = c.w.Flush() // memory
	x.request, x.free = *request, [2]int{len(x.answer), len(x.answer)}
	return x
}

// byteWriter collects bytes.
type byteWriter []byte

// Write implements io.Writer.
func (w *byteWriter) Write(p []byte) (int, error) {
	*w = append(*w, p...)
	return len(p), nil
}

// leanLoad describes one measurement of the lean load generator.
type leanLoad struct {
	Subject string // nameHearth or nameRedis
	Address string
	Object  object.ID // of Hearth; "" is workID
	Work    string    // name of add or echo
	Conns   int
	Batch   int
	Each    time.Duration
}

// leanCommand is the argument with which this program is the generator. A leanLoad in JSON follows.
const leanCommand = "generate"

// measureLean measures with the lean load generator in a separate process.
func (p *peer) measureLean(ctx context.Context, l leanLoad) (*sample, error) {
	l.Subject, l.Address = p.name, p.address
	cmd, err := l.command()
	if err != nil {
		return nil, err
	}
	s, err := measureProcesses(ctx, p.pid, nameLean, []*exec.Cmd{cmd})
	if err != nil {
		return nil, err
	}
	s.calls *= l.Batch
	return s, nil
}

// nameLean is the name of the generator in errors.
const nameLean = "the lean load generator"

// command returns the command of the generator.
func (l *leanLoad) command() (*exec.Cmd, error) {
	text, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return exec.Command(self, leanCommand, string(text)), nil //nolint:gosec,noctx // this program; stop ends it
}

// generate is the process of the lean load generator. It prints "ready" after one exchange per connection, waits for a
// line, makes the load, prints "end", and then its report.
func generate(ctx context.Context, args string, in io.Reader, out io.Writer) error {
	debug.SetGCPercent(-1) // the load allocates nothing but its report
	var l leanLoad
	if err := json.Unmarshal([]byte(args), &l); err != nil {
		return fmt.Errorf("reading the load: %w", err)
	}
	w := map[string]*work{add.name: &add, echo.name: &echo}[l.Work]
	if w == nil || l.Conns < 1 || l.Batch < 1 {
		return fmt.Errorf("the load %+v is not possible", l)
	}
	x, connect := redisExchange(w, l.Batch), func(net.Conn) error { return nil }
	if l.Subject == nameHearth {
		var err error
		x, err = hearthExchange(cmp.Or(l.Object, workID), w, l.Batch)
		if err != nil {
			return err
		}
		connect = connectPyro
	}
	g, err := newGenerator(x)
	if err != nil {
		return err
	}
	defer g.close()
	for range l.Conns {
		nc, err := new(net.Dialer).DialContext(ctx, "tcp", l.Address)
		if err != nil {
			return err
		}
		if err := connect(nc); err != nil {
			nc.Close()
			return err
		}
		if err := g.add(nc); err != nil {
			return err
		}
	}
	if _, _, err := g.run(0); err != nil {
		return fmt.Errorf("first call: %w", err)
	}
	fmt.Fprintln(out, "ready")
	if _, err := bufio.NewReader(in).ReadString('\n'); err != nil {
		return fmt.Errorf("waiting for the begin: %w", err)
	}
	elapsed, times, err := g.run(l.Each)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "end")
	report := strconv.AppendFloat(nil, elapsed.Seconds(), 'f', -1, 64)
	for _, t := range times {
		report = strconv.AppendInt(append(report, ' '), int64(t), 10)
	}
	_, err = out.Write(append(report, '\n'))
	return err
}

// connectPyro does the handshake of a Pyro4 client.
func connectPyro(nc net.Conn) error {
	ser := codec.ByID(codec.Serpent)
	hello := wire.Message{
		Protocol:   wire.Pyro4,
		Type:       wire.Connect,
		Serializer: pyro.SerializerNumber(wire.Pyro4, ser),
	}
	payload, err := codec.Append(ser, nil, map[string]any{"handshake": "hello"})
	if err != nil {
		return err
	}
	hello.Payload = payload
	request, err := wire.Append(nil, &hello)
	if err != nil {
		return err
	}
	if _, err := nc.Write(request); err != nil {
		return err
	}
	var answer wire.Message
	if err := wire.NewReader(nc, 0).Read(&answer); err != nil {
		return err
	}
	if answer.Type != wire.ConnectOK {
		return errors.New("the host rejected the connection")
	}
	return nil
}
