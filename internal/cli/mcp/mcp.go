// Package mcp has the command hearth mcp.
package mcp

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/gateway/mcp/bridge"
	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/safefile"
)

// maxFile is the largest size of a file with a token or certificates, in bytes.
const maxFile = 1 << 20

// options are the flags.
type options struct{ token, ca, cert, key string }

// Command returns the command.
func Command() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "mcp url",
		Short: "Connect an AI client that starts a program to a host's tools",
		Long: `Pass messages of the Model Context Protocol from standard input to the host at a URL, and its answers to
standard output. It is for clients that start a program and do not use HTTP themselves. The URL is that of a
listener with mcp = true, such as https://host.example.org:8443/mcp. See doc/mcp.md.

The host identifies the user by a bearer key (--token), a client certificate (--cert, --cert-key), or, on the same
machine, by the account of the process.`,
		Example: `  hearth mcp http://127.0.0.1:8080/mcp
  hearth mcp https://host.example.org:8443/mcp --token keys/agent.token --ca ca.pem`,
		Args: cli.ExactArgs("url"),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := o.bridge(args[0])
			if err != nil {
				return err
			}
			return b.Run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.token, "token", "", "`file` with a bearer key, readable by its owner only")
	f.StringVar(&o.ca, "ca", "", "PEM `file` of the authority of the host's certificate (default: those of the system)")
	f.StringVar(&o.cert, "cert", "", "PEM `file` of a client certificate")
	f.StringVar(&o.key, "cert-key", "", "PEM `file` of its private key")
	return cmd
}

// bridge returns the bridge to a URL.
func (o *options) bridge(address string) (*bridge.Bridge, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, cli.Usagef("%w", err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil:
		return nil, cli.Usagef("%q is not a URL such as https://host.example.org:8443/mcp", address)
	case u.Path == "" || u.Path == "/":
		u.Path = "/mcp"
	}
	if (o.cert == "") != (o.key == "") {
		return nil, cli.Usagef("--cert and --cert-key belong together")
	}
	if u.Scheme == "http" && (o.ca != "" || o.cert != "") {
		return nil, cli.Usagef("--ca and --cert need a URL that begins with https")
	}
	b := &bridge.Bridge{URL: u.String()}
	if o.token != "" {
		token, err := safefile.Read(o.token, maxFile)
		if err != nil {
			return nil, err
		}
		if b.Token = strings.TrimSpace(string(token)); b.Token == "" || strings.ContainsAny(b.Token, " \r\n\t") {
			return nil, fmt.Errorf("%s must have one line with a bearer key", o.token)
		}
	}
	cfg, err := o.tls()
	if err != nil {
		return nil, err
	}
	// A redirect would send the token elsewhere, and a proxy of the environment would see it.
	b.Client = &http.Client{
		Transport:     &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return b, nil
}

func (o *options) tls() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.ca != "" {
		pem, err := safefile.ReadPublic(o.ca, maxFile)
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificates in PEM", o.ca)
		}
	}
	if o.cert != "" {
		pair, err := safefile.ReadKeyPair(o.cert, o.key)
		if err != nil {
			return nil, err
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}
