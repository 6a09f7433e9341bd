// Package remote connects a command to a host as a client.
//
// [Remote] holds the flags of all commands that call a host: the address, the profile with credentials, the Pyro
// generation, the serializer and the time limit. The root command adds --at by [Remote.AddAddress], and each command
// adds the other flags by [Remote.Flags]. An address of the command line overrides the one of the profile.
//
// [Remote.Explain] adds a remedy to an error of package client: no host listens, the key was rejected, or another
// protocol is spoken. It also states whether a failed call was executed, unless it certainly was not.
package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/value"
	"github.com/hearthhost/hearth/internal/shell"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/transport"
	"github.com/hearthhost/hearth/transport/signed"
	"github.com/hearthhost/hearth/wire"
)

// defaultAddress is the address of a host without a policy file.
const defaultAddress = "127.0.0.1:7766"

// Remote holds the flags of commands that call a host.
type Remote struct {
	At         string // address of the host
	AtGiven    bool   // --at was set; it overrides the profile's address
	Profile    string // file; "" for none
	Protocol   string // pyro4 or pyro5
	serializer string
	Timeout    time.Duration // 0 for no limit
}

var (
	protocolNames   = []string{"pyro4", "pyro5"}
	serializerNames = []string{"serpent", "json", "msgpack"}
)

// callsHost is the annotation of a command that calls a host, to which --at applies.
const callsHost = "calls"

// AddAddress adds --at to the root command. Flags adds the other flags.
func (r *Remote) AddAddress(root *cobra.Command) {
	root.PersistentFlags().StringVar(&r.At, "at", defaultAddress,
		"address of the host to call: host:port, [::1]:port or unix:path")
}

// CheckAddressFlag rejects --at for a command that calls no host.
func (r *Remote) CheckAddressFlag(cmd *cobra.Command) error {
	r.AtGiven = cmd.Flags().Changed("at")
	if r.AtGiven && cmd.Annotations[callsHost] == "" && cmd != cmd.Root() {
		return cli.Usagef("--at does not apply to %q, which calls no host", cmd.CommandPath())
	}
	return nil
}

// Flags adds the flags of a command that calls a host.
func (r *Remote) Flags(cmd *cobra.Command) {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[callsHost] = "yes"
	f := cmd.Flags()
	f.StringVar(&r.Profile, "profile", "",
		"JSON file with the address of the host, the channel, and a key or certificates")
	f.StringVar(&r.Protocol, "protocol", "pyro5", "protocol: pyro4 or pyro5")
	f.StringVar(&r.serializer, "serializer", "serpent", "serializer of the values: serpent, json or msgpack")
	f.DurationVar(&r.Timeout, "timeout", 10*time.Second, "time limit; 0 for none")
	choices := func(names []string) cobra.CompletionFunc {
		return cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp)
	}
	for name, list := range map[string][]string{"protocol": protocolNames, "serializer": serializerNames} {
		if err := cmd.RegisterFlagCompletionFunc(name, choices(list)); err != nil {
			panic(err) // only for an unknown flag
		}
	}
}

// Dial returns a client with at most conns connections. It does not connect yet.
func (r *Remote) Dial(conns int) (*client.Client, error) {
	cfg := client.Config{Address: r.At, Serializer: r.serializer, MaxConns: conns, Timeout: r.Timeout}
	switch r.Protocol {
	case "pyro4":
		cfg.Protocol = wire.Pyro4
	case "pyro5":
		cfg.Protocol = wire.Pyro5
	default:
		return nil, cli.Usagef("--protocol %s: use %s", r.Protocol, strings.Join(protocolNames, " or "))
	}
	if !slices.Contains(serializerNames, r.serializer) {
		return nil, cli.Usagef("--serializer %s: use one of %s", r.serializer, strings.Join(serializerNames, ", "))
	}
	if r.Timeout < 0 {
		return nil, cli.Usagef("--timeout %s: use 0 or more", r.Timeout)
	}
	if r.Profile != "" {
		p, err := client.LoadProfile(r.Profile)
		if err != nil {
			return nil, err
		}
		if r.AtGiven {
			p.Address = r.At
		}
		r.At = p.Address
		if err := p.Apply(&cfg); err != nil {
			return nil, fmt.Errorf("profile %s: %w", r.Profile, err)
		}
	}
	if err := CheckAddress(r.At); err != nil {
		return nil, err
	}
	return client.New(cfg)
}

// CheckAddress rejects an invalid address before a connection is tried.
func CheckAddress(at string) error {
	if path, ok := strings.CutPrefix(at, "unix:"); ok {
		if path == "" {
			return cli.Usagef("--at %s: the path is missing, as in unix:state/hearth.sock", at)
		}
		return nil
	}
	if _, port, err := net.SplitHostPort(at); err != nil || port == "" {
		return cli.Usagef("--at %s: use host:port, [::1]:port or unix:path", at)
	}
	return nil
}

// Again returns the flags with which another command calls the same host as the same principal.
func (r *Remote) Again() string {
	flags := ""
	if r.Profile != "" {
		flags += " --profile " + shell.Path(r.Profile)
	}
	if r.AtGiven {
		flags += " --at " + shell.Quote(r.At)
	}
	return flags
}

// Within limits ctx by --timeout.
func (r *Remote) Within(ctx context.Context) (context.Context, context.CancelFunc) {
	if r.Timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, r.Timeout)
}

// Explain adds a remedy to an error of the client.
func (r *Remote) Explain(err error) error {
	var re *client.RemoteError
	var ce *client.CallError
	var tlsAlert *net.OpError // crypto/tls returns this for an alert of the peer
	switch {
	case err == nil:
		return nil
	case errors.As(err, &re):
		return errors.New(value.ExceptionText(re.Class, re.Args))
	case !errors.As(err, &ce): // no call was made, for example an error in a file of the profile
		return err
	case errors.Is(err, signed.ErrProof):
		return fmt.Errorf("the host at %s did not prove that it has the key of %s: "+
			"the key is unknown or revoked there, or this is another host", r.At, r.Profile)
	case errors.As(err, &tlsAlert) && tlsAlert.Op == "remote error":
		return fmt.Errorf("the host at %s ended the TLS handshake: %w; the certificate of %s may be missing, expired, "+
			"revoked or of another authority, or the listener has no TLS; the host's log has the reason",
			r.At, tlsAlert.Err, r.Profile)
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("no host listens at %s; start one with hearth serve, or use another --at", r.At)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("this user may not connect to %s: the mode of the socket or of its folder forbids it", r.At)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer from %s within %s%s; --timeout waits longer", r.At, r.Timeout, ran(ce))
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Errorf("%s closed the connection%s; is it a hearth host, and does it speak %s?",
			r.At, ran(ce), r.Protocol)
	case errors.Is(err, wire.ErrHTTP):
		return fmt.Errorf("%s speaks HTTP and is no listener of a hearth host; use another --at", r.At)
	case errors.Is(err, client.ErrProtocol):
		return fmt.Errorf("%s does not speak %s; try another --protocol", r.At, r.Protocol)
	case errors.Is(err, client.ErrStream):
		return fmt.Errorf("the method returned an item stream, which was closed again%s", ran(ce))
	}
	var oe *object.Error
	if errors.As(err, &oe) && oe.Msg != "" {
		if r.Profile == "" && strings.Contains(oe.Msg, transport.ErrPlain.Error()) {
			return fmt.Errorf("%s; --profile FILE names a key or certificate", oe.Msg)
		}
		if oe.Err != nil {
			return fmt.Errorf("%s: %w%s", oe.Msg, oe.Err, ran(ce))
		}
		return fmt.Errorf("%s%s", oe.Msg, ran(ce))
	}
	return err
}

// ran returns a note whether a failed call was executed, "" if it certainly was not.
func ran(e *client.CallError) string {
	switch e.Executed {
	case client.No:
		return ""
	case client.Yes:
		return " (the call was executed)"
	default:
		return " (whether the call was executed is not known)"
	}
}

// ParseObject parses the id of an object, also of a built-in one, of an instance of a keyed object, or of a keyed
// object as listings show it.
func ParseObject(s string) (object.ID, error) {
	if id := object.ID(s); id == object.Daemon || id == object.NameServer {
		return id, nil
	}
	family, _ := strings.CutSuffix(s, ":"+object.AnyKey)
	_, err := object.ParseTarget(family)
	id := object.ID(s)
	if err != nil {
		return "", cli.Usagef("%w; hearth ls lists the objects that you may call", err)
	}
	return id, nil
}
