// Package bridge connects a program that speaks the Model Context Protocol over standard input and output to a server
// over HTTP.
//
// Source: modelcontextprotocol.io/specification, transports "stdio" and "streamable HTTP".
package bridge

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"sync"
)

// Bounds.
const (
	maxMessage = 16 << 20 // bytes of a message
	maxPending = 16       // requests at a time
)

// Error codes of JSON-RPC.
const (
	codeParse  = -32700
	codeServer = -32000 // of an implementation: the server's HTTP status is an error
)

// standardHeaders is the first version of the protocol with the headers Mcp-Method and Mcp-Name.
const standardHeaders = "2026-07-28"

// versionKey is the key of the protocol's version in the _meta of a request.
const versionKey = "io.modelcontextprotocol/protocolVersion"

// Bridge passes messages on. Client and URL are required.
type Bridge struct {
	Client *http.Client
	URL    string // of the server
	Token  string // bearer token, "" for none

	mu      sync.Mutex // guards the fields below, and writing
	out     io.Writer
	version string // of the protocol, "" before a server has chosen it
}

// Run reads messages from in, one a line, and writes the answers to out. It returns nil at the end of in, after the
// last answer. It is called once.
func (b *Bridge) Run(ctx context.Context, in io.Reader, out io.Writer) error {
	b.out = out
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	pending := make(chan struct{}, maxPending)
	var wait sync.WaitGroup
	defer wait.Wait()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxMessage)
	for lines.Scan() && ctx.Err() == nil {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		line = bytes.Clone(line)
		m, err := parse(line)
		if err != nil {
			b.write(failure(nil, codeParse, err.Error()), cancel)
			continue
		}
		if m.Method == "initialize" { // its answer has the version of the requests that follow
			b.write(b.exchange(ctx, m, line), cancel)
			continue
		}
		select {
		case pending <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		wait.Add(1)
		go func() { // ends with the answer
			defer wait.Done()
			b.write(b.exchange(ctx, m, line), cancel)
			<-pending
		}()
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("a message is larger than %d bytes", maxMessage)
	}
	return lines.Err()
}

// message has the parts of a message that the bridge uses.
type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Name string                     `json:"name"`
		URI  string                     `json:"uri"`
		Meta map[string]json.RawMessage `json:"_meta"`
	} `json:"params"`
}

func parse(line []byte) (*message, error) {
	m := new(message)
	if line[0] != '{' || !json.Valid(line) {
		return nil, errors.New("a line must be one JSON object")
	}
	// Parameters of other types are the server's to refuse.
	if err := json.Unmarshal(line, m); err != nil {
		if typeErr := new(json.UnmarshalTypeError); !errors.As(err, &typeErr) {
			return nil, err
		}
	}
	return m, nil
}

// exchange sends a message and returns the answer, nil for a notification.
func (b *Bridge) exchange(ctx context.Context, m *message, line []byte) []byte {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.URL, bytes.NewReader(line))
	if err != nil {
		return failure(m.ID, codeServer, err.Error())
	}
	b.setHeaders(req.Header, m)
	resp, err := b.Client.Do(req)
	if err != nil {
		return failure(m.ID, codeServer, err.Error())
	}
	defer resp.Body.Close() //nolint:errcheck // the body is read, or given up
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxMessage+1))
	switch {
	case err != nil:
		return failure(m.ID, codeServer, "the answer broke off: "+err.Error())
	case len(body) > maxMessage:
		return failure(m.ID, codeServer, fmt.Sprintf("the answer is larger than %d bytes", maxMessage))
	case len(m.ID) == 0 && resp.StatusCode < http.StatusMultipleChoices:
		return nil // a notification
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	var doc bytes.Buffer
	if kind != "application/json" || json.Compact(&doc, body) != nil {
		return failure(m.ID, codeServer, refusal(resp, body))
	}
	if m.Method == "initialize" {
		b.negotiated(doc.Bytes())
	}
	return doc.Bytes()
}

func (b *Bridge) setHeaders(h http.Header, m *message) {
	h.Set("Content-Type", "application/json")
	h.Set("Accept", "application/json, text/event-stream")
	if b.Token != "" {
		h.Set("Authorization", "Bearer "+b.Token)
	}
	var version string
	if json.Unmarshal(m.Params.Meta[versionKey], &version) != nil {
		b.mu.Lock()
		version = b.version
		b.mu.Unlock()
	}
	if version == "" || m.Method == "initialize" {
		return
	}
	h.Set("Mcp-Protocol-Version", version)
	if version < standardHeaders {
		return
	}
	h.Set("Mcp-Method", m.Method)
	if name := m.Params.Name + m.Params.URI; name != "" {
		h.Set("Mcp-Name", name)
	}
}

// negotiated notes the version in the answer to initialize.
func (b *Bridge) negotiated(doc []byte) {
	var answer struct {
		Result struct {
			ProtocolVersion string `json:"protocolVersion"`
		} `json:"result"`
	}
	if json.Unmarshal(doc, &answer) == nil {
		b.mu.Lock()
		b.version = answer.Result.ProtocolVersion
		b.mu.Unlock()
	}
}

// refusal returns the text of an answer that is not of the protocol: a problem of the host, or another error of HTTP.
func refusal(resp *http.Response, body []byte) string {
	var problem struct {
		Detail string `json:"detail"`
	}
	text := resp.Status
	if json.Unmarshal(body, &problem) == nil && problem.Detail != "" {
		text += ": " + problem.Detail
	}
	return text
}

// failure returns an error of JSON-RPC, or nil for a notification.
func failure(id json.RawMessage, code int, text string) []byte {
	if len(id) == 0 && code != codeParse {
		return nil
	}
	if len(id) == 0 {
		id = json.RawMessage("null")
	}
	type rpcError struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	doc, err := json.Marshal(struct {
		Version string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Error   rpcError        `json:"error"`
	}{"2.0", id, rpcError{code, text}})
	if err != nil {
		return nil // the id was checked by parse
	}
	return doc
}

// write writes an answer as a line. A reader that is gone ends the bridge.
func (b *Bridge) write(doc []byte, cancel context.CancelCauseFunc) {
	if doc == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, err := b.out.Write(append(doc, '\n')); err != nil {
		cancel(err)
	}
}
