package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/internal/cli/policyflag"
)

// Socket is the connection to the admin socket of a running host.
type Socket struct {
	policyflag.Flags
	Path string // set on the command line; "" for the socket of the policy
}

// AddFlags adds --socket and the flags of the policy to a command.
func (a *Socket) AddFlags(cmd *cobra.Command) {
	a.Flags.Add(cmd)
	cmd.Flags().StringVar(&a.Path, "socket", "", "use this admin socket instead of the one of the policy")
}

// find returns the path of the admin socket.
func (a *Socket) find() (string, error) {
	if a.Path != "" {
		return a.Path, nil
	}
	p, _, err := a.LoadUntested()
	if err != nil {
		return "", fmt.Errorf("%w\nif the policy of a running host does not load, name its socket: "+
			"--socket STATE/admin.sock, where STATE is its state folder (by default state, beside the policy)", err)
	}
	return host.AdminSocket(p), nil
}

// adminTimeout is the time limit of a request.
const adminTimeout = 30 * time.Second

// maxAdminAnswer is the largest size of a response in bytes.
const maxAdminAnswer = 256 << 20

// Request is a request to the admin socket.
type Request struct {
	Method   string
	Resource string    // path and query, such as /v1/status
	Body     io.Reader // nil: none
	// Long means that the request has no time limit: the host may need long before it answers.
	Long bool
}

// Resource returns the path and query of a request. pairs are names and values.
func Resource(path string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// HostError is the error that a host has sent.
type HostError struct {
	Msg  string
	Line int // of the request's body, 0 for none
}

func (e *HostError) Error() string { return e.Msg }

// request sends a request without a body and decodes the response into result.
func (a *Socket) request(ctx context.Context, method, resource string, result any) error {
	return a.Do(ctx, Request{Method: method, Resource: resource}, result)
}

// Do sends a request and decodes the response into result.
func (a *Socket) Do(ctx context.Context, r Request, result any) error {
	return a.Stream(ctx, r, func(body io.Reader, path string) error {
		answer, err := io.ReadAll(io.LimitReader(body, maxAdminAnswer))
		if err != nil {
			return incomplete(path, err)
		}
		if err := json.Unmarshal(answer, result); err != nil {
			return fmt.Errorf("the host at %s sent an invalid response: %w", path, err)
		}
		return nil
	})
}

// Copy sends a request and copies the response.
func (a *Socket) Copy(ctx context.Context, r Request, to io.Writer) error {
	return a.Stream(ctx, r, func(body io.Reader, path string) error {
		in := &sourceReader{r: body}
		if _, err := io.Copy(to, in); err != nil {
			if in.err != nil {
				return incomplete(path, in.err)
			}
			return err
		}
		return nil
	})
}

// sourceReader keeps the error of its reader, which is not one of the writer to which it is copied.
type sourceReader struct {
	r   io.Reader
	err error
}

func (s *sourceReader) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

func incomplete(path string, err error) error {
	return fmt.Errorf("the response of the host at %s is incomplete: %w", path, err)
}

// Stream sends a request and passes the body of a successful response to read. path is that of the socket.
func (a *Socket) Stream(ctx context.Context, r Request, read func(body io.Reader, path string) error) error {
	path, err := a.find()
	if err != nil {
		return err
	}
	if !r.Long {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, adminTimeout)
		defer cancel()
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return explainAdmin(path, err)
	}
	defer func() { _ = conn.Close() }()
	// http.Transport would replace the error of a rejected connection by an unexported one.
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	body := &sourceReader{r: http.NoBody}
	if r.Body != nil {
		body.r = r.Body
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, "http://hearth"+r.Resource, nil)
	if err != nil {
		return err
	}
	req.Close = true
	if r.Body != nil {
		req.Body = io.NopCloser(body)
	}
	sent := make(chan struct{})
	go func() { // the host may answer before it has read the whole body
		defer close(sent)
		_ = req.Write(conn) // the response, or its error, has the reason
		if body.err != nil {
			_ = conn.Close()
		}
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		_ = conn.Close()
		if <-sent; body.err != nil {
			return body.err
		}
		return explainAdmin(path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusOK {
		return read(resp.Body, path)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAdminAnswer))
	if err != nil {
		return incomplete(path, err)
	}
	var failure struct {
		Error string `json:"error"`
		Line  int    `json:"line"`
	}
	if json.Unmarshal(answer, &failure) == nil && failure.Error != "" {
		return &HostError{failure.Error, failure.Line}
	}
	return fmt.Errorf("the host at %s answered %s: does it have another version than this command?", path, resp.Status)
}

// explainAdmin adds a remedy to the usual errors of a connection.
func explainAdmin(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no host answers at %s\n"+
			"start one with hearth serve, or name the policy of the running host with --policy", path)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Errorf("the host at %s accepts only the host's user and root", path)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("no answer from %s within %s", path, adminTimeout)
	}
	return fmt.Errorf("sending a request to the host at %s: %w", path, err)
}
