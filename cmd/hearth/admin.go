package main

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
)

// admin is what the commands share that ask a running host at its admin socket.
type admin struct {
	policyFlags
	socket string
}

func (a *admin) flags(cmd *cobra.Command) {
	a.policyFlags.add(cmd)
	cmd.Flags().StringVar(&a.socket, "socket", "", "ask at this admin socket, whatever the policy says")
}

// path returns where the admin socket is.
func (a *admin) path() (string, error) {
	if a.socket != "" {
		return a.socket, nil
	}
	p, _, err := a.loadUntested()
	if err != nil {
		return "", fmt.Errorf("%w\nto ask a running host while its policy does not load, name its socket: --socket STATE/admin.sock, where STATE is its state folder (state, beside the policy, if that names no other)", err)
	}
	return host.AdminSocket(p), nil
}

// adminTimeout bounds one question.
const adminTimeout = 30 * time.Second

// maxAdminAnswer bounds an answer, in bytes.
const maxAdminAnswer = 256 << 20

// ask makes one request, such as GET /v1/status, and reads the answer into to.
func (a *admin) ask(ctx context.Context, method, what string, to any) error {
	path, err := a.path()
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
	// No http.Transport: it puts an error of its own, which it does not export, in the
	// place of the one that tells a refusal.
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	req, err := http.NewRequestWithContext(ctx, method, "http://hearth"+what, http.NoBody)
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
		return fmt.Errorf("the answer of the host at %s ended early: %w", path, err)
	}
	if resp.StatusCode == http.StatusOK {
		if err := json.Unmarshal(answer, to); err != nil {
			return fmt.Errorf("the host at %s answered something else than expected: %w", path, err)
		}
		return nil
	}
	var said struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(answer, &said) == nil && said.Error != "" {
		return errors.New(said.Error)
	}
	return fmt.Errorf("the host at %s answered %s: is it of another version than this command?", path, resp.Status)
}

// explainAdmin adds the next thing to do to the usual reasons.
func explainAdmin(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no host answers at %s\nstart one with hearth serve, or name the policy of the one that runs with --policy", path)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Errorf("the host at %s answers the user who runs it, and root, and nobody else", path)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("no answer from %s within %s", path, adminTimeout)
	}
	return fmt.Errorf("asking the host at %s: %w", path, err)
}
