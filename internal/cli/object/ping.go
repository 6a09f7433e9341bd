package object

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/display"
)

// pinged is the result of hearth ping. Times are in milliseconds.
type pinged struct {
	Address   string  `json:"address"`
	Protocol  string  `json:"protocol"`
	ConnectMS float64 `json:"connect_ms"`
	RoundMS   float64 `json:"round_trip_ms"`
}

func newPing(r caller) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ping",
		Short: "Check that a host answers, and measure the time",
		Long: `Connect to a host and send a ping. It prints the time of the connection, with the handshake, and
of the round trip of the ping. It needs only the permission to connect.`,
		Example: `  hearth ping
  hearth ping --at unix:state/hearth.sock --json`,
		Args: cli.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := r.ping(cmd.Context())
			if err != nil {
				return r.Explain(err)
			}
			if asJSON {
				return display.JSON(cmd.OutOrStdout(), p)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s answers %s: connected in %.2f ms, round trip %.2f ms\n",
				p.Address, p.Protocol, p.ConnectMS, p.RoundMS)
			return nil
		},
	}
	cli.JSONFlag(cmd, &asJSON)
	r.Flags(cmd)
	return cmd
}

// ping sends two pings: the first one connects, so the second one measures only the round trip.
func (r caller) ping(ctx context.Context) (pinged, error) {
	ctx, cancel := r.Within(ctx)
	defer cancel()
	c, err := r.Dial(1)
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
	return pinged{Address: r.At, Protocol: r.Protocol, ConnectMS: ms(max(first-round, 0)), RoundMS: ms(round)}, nil
}

// ms returns a duration in milliseconds.
func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
