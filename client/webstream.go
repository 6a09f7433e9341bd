package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/hearthhost/hearth/object"
)

// stream calls a method over HTTP and passes the items of its stream to yield.
func (w *webClient) stream(ctx context.Context, o *Object, method string, args []any, yield func(any, error) bool) {
	body, err := webArguments(args, nil)
	if err != nil {
		yield(nil, &CallError{Executed: No, Err: err})
		return
	}
	ctx, cancel := context.WithCancel(ctx) // the end of the request closes the stream
	defer cancel()
	one := &webRequest{method: http.MethodPost, id: o.id, member: method, body: body, stream: true,
		headers: map[string]string{}}
	o.addSession(one)
	resp, err := w.send(ctx, one)
	if err != nil {
		yield(nil, err)
		return
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode < http.StatusMultipleChoices && mediaType(resp.Header) != "text/event-stream":
		yield(nil, badReply(Yes, "the result is not an item stream: use Call"))
		return
	case resp.StatusCode != http.StatusOK:
		yield(nil, w.problem(ctx, resp))
		return
	}
	in := bufio.NewReader(resp.Body)
	for {
		e, err := readEvent(in, w.client.cfg.MaxMessageBytes)
		switch {
		case errors.Is(err, errLongEvent):
			yield(nil, &CallError{Executed: Yes, Err: object.Errorf(object.CodeTooLarge,
				"reading an item: Config.MaxMessageBytes bounds it")})
			return
		case err != nil:
			yield(nil, wrapError(ctx, Yes, "reading an item", err))
			return
		case e.name == "end":
			return
		case e.name == "error":
			yield(nil, problemError(e.data))
			return
		}
		v, err := decodeWeb(e.data)
		if !yield(v, err) || err != nil {
			return
		}
	}
}

// event is an event of an event stream.
type event struct {
	name string // "" for an item
	data []byte
}

var errLongEvent = errors.New("the event is too long")

// readEvent reads the next event, of at most most bytes. It skips comments. The error for a stream without the event
// "end" is [io.ErrUnexpectedEOF].
func readEvent(in *bufio.Reader, most int) (e event, err error) {
	some := false // a field was read
	for {
		line, err := readLine(in, most)
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return e, err
		}
		if len(line) == 0 {
			if some {
				return e, nil
			}
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			e.name, some = string(value), true
		case "data":
			if some && e.data != nil {
				e.data = append(e.data, '\n')
			}
			e.data, some = append(e.data, value...), true
		}
		if len(e.data) > most {
			return e, errLongEvent
		}
	}
}

// readLine reads a line of at most most bytes, without its end.
func readLine(in *bufio.Reader, most int) ([]byte, error) {
	var line []byte
	for {
		part, more, err := in.ReadLine()
		if err != nil {
			return nil, err
		}
		line = append(line, part...)
		if len(line) > most+len("data: ") {
			return nil, errLongEvent
		}
		if !more {
			return line, nil
		}
	}
}
