package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/sandbox/workerfile"
	"github.com/hearthhost/hearth/wire"
)

// build describes this binary.
type build struct {
	Version   string   `json:"version"`
	Commit    string   `json:"commit"`
	Go        string   `json:"go"`
	Platform  string   `json:"platform"`
	Protocols []string `json:"protocols"`
	Worker    string   `json:"worker"` // program of worker processes: "embedded" or "self"
}

// thisBuild returns the linker's settings, or the build information of the Go tool.
func thisBuild() build {
	b := build{Version: version, Commit: commit, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	for _, p := range []wire.Protocol{wire.Pyro4, wire.Pyro5} {
		b.Protocols = append(b.Protocols, fmt.Sprintf("%s (%d)", p.Module(), p))
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		if b.Version == "" && info.Main.Version != "" {
			b.Version = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && b.Commit == "" {
				b.Commit = s.Value
			}
		}
	}
	b.Worker = "self"
	if workerfile.Embedded() {
		b.Worker = "embedded"
	}
	if b.Version == "" {
		b.Version = "(devel)"
	}
	if b.Commit == "" {
		b.Commit = "unknown"
	}
	return b
}

func newVersion() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print version, commit, Go version and protocols",
		Long:  "Print the build of this binary and its Pyro protocols.",
		Example: `  hearth version
  hearth version --json`,
		Args: cli.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := thisBuild()
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(b)
			}
			w := cmd.OutOrStdout()
			fmt.Fprintf(w, "hearth %s\ncommit %s\n%s %s\n", b.Version, b.Commit, b.Go, b.Platform)
			for _, p := range b.Protocols {
				fmt.Fprintf(w, "speaks %s\n", p)
			}
			fmt.Fprintf(w, "worker %s\n", b.Worker)
			return nil
		},
	}
	cli.JSONFlag(cmd, &asJSON)
	return cmd
}
