package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// pinged is the result of hearth ping. Times are in milliseconds.
type pinged struct {
	Address   string  `json:"address"`
	Protocol  string  `json:"protocol"`
	ConnectMS float64 `json:"connect_ms"`
	RoundMS   float64 `json:"round_trip_ms"`
}

func newPing(r *remote) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ping",
		Short: "Check that a host answers, and how fast",
		Long: `Connect to a host and send it one ping. Prints the time that connecting took, handshake
included, and the time of the ping's round trip. Needs no permission but to connect.`,
		Example: `  hearth ping
  hearth ping --at unix:state/hearth.sock --json`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := r.ping(cmd.Context())
			if err != nil {
				return r.explain(err)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), p)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s answers %s: connected in %.2f ms, round trip %.2f ms\n",
				p.Address, p.Protocol, p.ConnectMS, p.RoundMS)
			return nil
		},
	}
	jsonFlag(cmd, &asJSON)
	r.flags(cmd)
	return cmd
}

// ping pings twice: the first connects, so that the second measures the way alone.
func (r *remote) ping(ctx context.Context) (pinged, error) {
	ctx, cancel := r.within(ctx)
	defer cancel()
	c, err := r.dial(1)
	if err != nil {
		return pinged{}, err
	}
	defer c.Close()
	start := time.Now()
	if err := c.Ping(ctx); err != nil {
		return pinged{}, err
	}
	first := time.Since(start)
	start = time.Now()
	if err := c.Ping(ctx); err != nil {
		return pinged{}, err
	}
	round := time.Since(start)
	return pinged{Address: r.at, Protocol: r.protocol, ConnectMS: ms(max(first-round, 0)), RoundMS: ms(round)}, nil
}
