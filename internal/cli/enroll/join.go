package enroll

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/client/join"
	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/remote"
	"github.com/hearthhost/hearth/internal/shell"
	"github.com/hearthhost/hearth/transport/enroll"
)

func newEnrollJoin(r *remote.Remote) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "join ADDRESS TOKEN",
		Short: "Exchange a token for a key or certificate",
		Long: `Exchange a token for a key or certificate and write the client's files into the folder --out:
NAME.json, the profile, and the files that it names. The private key is created here and never
leaves this machine. TOKEN may be - for standard input, which other users of the machine cannot
see.

After a failure, run the command again with the same --out: the token is bound to the key in that
folder. Existing files are never overwritten.`,
		Example: `  hearth enroll join host.example:7767 - < token
  hearth call --profile alice.json acme.counter add 5`,
		Args: cli.ExactArgs("ADDRESS", "TOKEN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := remote.CheckAddress(args[0]); err != nil {
				return err
			}
			text := args[1]
			if text == "-" {
				b, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), 4096))
				if err != nil {
					return err
				}
				text = string(b)
			}
			t, err := enroll.ParseText(text)
			if err != nil {
				return cli.Usagef("%w", err)
			}
			r.At, r.Timeout = args[0], join.Timeout
			ctx, cancel := r.Within(cmd.Context())
			defer cancel()
			profile, err := join.Join(ctx, args[0], t, out)
			if err != nil {
				return r.Explain(err)
			}
			w := cmd.OutOrStdout()
			fmt.Fprintf(w, "wrote %s\n", profile)
			fmt.Fprintf(w, "next: hearth ls --profile %s\n", shell.Path(profile))
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", ".", "folder to write to")
	return cmd
}
