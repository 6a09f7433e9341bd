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

// request sends a request, such as GET /v1/status, and decodes the response into result.
func (a *Socket) request(ctx context.Context, method, resource string, result any) error {
	path, err := a.find()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return explainAdmin(path, err)
	}
	defer func() { _ = conn.Close() }()
	// http.Transport would replace the error of a rejected connection by an unexported one.
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	req, err := http.NewRequestWithContext(ctx, method, "http://hearth"+resource, http.NoBody)
	if err != nil {
		return err
	}
	req.Close = true
	if err := req.Write(conn); err != nil {
		return explainAdmin(path, err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		return explainAdmin(path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAdminAnswer))
	if err != nil {
		return fmt.Errorf("the response of the host at %s is incomplete: %w", path, err)
	}
	if resp.StatusCode == http.StatusOK {
		if err := json.Unmarshal(answer, result); err != nil {
			return fmt.Errorf("the host at %s sent an invalid response: %w", path, err)
		}
		return nil
	}
	var failure struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(answer, &failure) == nil && failure.Error != "" {
		return errors.New(failure.Error)
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
