// Package backup has the commands hearth backup and hearth restore.
//
// hearth backup reads the stores through the admin socket of the running host, and all other files itself. hearth
// restore is for a stopped host. Package internal/backup has the format, its checks and the copies.
package backup

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/host/credential"
	"github.com/hearthhost/hearth/host/stores"
	"github.com/hearthhost/hearth/internal/backup"
	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/admin"
	"github.com/hearthhost/hearth/internal/cli/display"
	"github.com/hearthhost/hearth/policy"
)

// Commands returns the commands. version is that of the program.
func Commands(version string) []*cobra.Command {
	return []*cobra.Command{newBackup(version), newRestore()}
}

func newBackup(version string) *cobra.Command {
	var socket admin.Socket
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "backup DIR",
		Short: "Copy everything that a restore of a running host needs",
		Long: `Copy the files of a running host into the new or empty folder DIR: the durable state of all tenants,
each store as it is at one moment, the audit log, the history of scripts and the enrolment tokens; and
the policy, scripts, plugins, keys, certificates and secrets that are in the policy's folder. Other
files that the policy names are listed and not copied. Calls continue meanwhile.

DIR has mode 0700 and its files 0600: they contain keys and secrets. The file manifest.json has the
size and the SHA-256 of each file. Keep the SHA-256 of the manifest, which this command prints, in
another place: hearth restore --sha256 checks it. Run it as the host's user or root.`,
		Example: `  hearth backup /backup/2027-01-31
  sudo hearth backup /backup/2027-01-31 --policy /etc/hearth/policy.hcl`,
		Args: cli.ExactArgs("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := configure(&socket, args[0], version)
			if err != nil {
				return err
			}
			var rows []stores.TenantInfo
			r := admin.Request{Method: http.MethodGet, Resource: "/v1/store"}
			if err := socket.Do(cmd.Context(), r, &rows); err != nil {
				return err
			}
			for _, row := range rows {
				if row.FileBytes > 0 {
					cfg.Tenants = append(cfg.Tenants, string(row.Tenant))
				}
			}
			cfg.Store = func(tenant string, to io.Writer) error {
				return socket.Copy(cmd.Context(), admin.Request{
					Method:   http.MethodGet,
					Resource: admin.Resource("/v1/store/backup", "tenant", tenant),
					Long:     true,
				}, to)
			}
			m, sum, err := backup.Create(cfg)
			if err != nil {
				return err
			}
			return printBackup(cmd, args[0], m, sum, asJSON)
		},
	}
	socket.AddFlags(cmd)
	cli.JSONFlag(cmd, &asJSON)
	return cmd
}

func printBackup(cmd *cobra.Command, dir string, m *backup.Manifest, sum string, asJSON bool) error {
	if asJSON {
		return display.JSON(cmd.OutOrStdout(), map[string]any{
			"dir":             dir,
			"files":           len(m.Files),
			"outside":         append([]string{}, m.Outside...),
			"manifest_sha256": sum,
		})
	}
	for _, name := range m.Outside {
		fmt.Fprintf(cmd.ErrOrStderr(), "not in the backup, since it is outside of the policy's folder: %s\n",
			display.Inline(name))
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s in %s, manifest SHA-256 %s\n", display.Plural(len(m.Files), "file"), dir, sum)
	return nil
}

// sources collects the files of a policy.
type sources struct {
	base string // folder of the policy
	cfg  *backup.Config
	seen map[string]bool
}

// place returns the path in the backup of a path of the policy; ok is false if it is outside of the policy's folder.
func (s *sources) place(from string) (to string, ok bool) {
	rel, err := filepath.Rel(s.base, from)
	if err != nil || rel == "." || !filepath.IsLocal(rel) {
		return "", false
	}
	return filepath.ToSlash(rel), true
}

// folder adds a folder. One outside of the policy's folder gets its default name.
func (s *sources) folder(from, name string) string {
	to, ok := s.place(from)
	if !ok {
		to = name
	}
	s.cfg.Items = append(s.cfg.Items, backup.Item{From: from, To: to})
	return to
}

// file adds a file or folder that the policy names, unless it is outside of the policy's folder.
func (s *sources) file(from string) {
	if from == "" || s.seen[from] {
		return
	}
	s.seen[from] = true
	if to, ok := s.place(from); ok {
		s.cfg.Items = append(s.cfg.Items, backup.Item{From: from, To: to})
	} else {
		s.cfg.Outside = append(s.cfg.Outside, from)
	}
}

// configure returns the files of a host's policy.
func configure(socket *admin.Socket, dir, version string) (*backup.Config, error) {
	file, err := socket.Flags.Path()
	if err != nil {
		return nil, err
	}
	p, _, err := socket.LoadUntested()
	if err != nil {
		return nil, err
	}
	base := socket.Dir
	if file != "" {
		base = filepath.Dir(file)
	}
	if base, err = filepath.Abs(base); err != nil {
		return nil, err
	}
	s := &sources{base: base, cfg: &backup.Config{Dir: dir, Version: version}, seen: map[string]bool{}}
	s.state(p)
	if file != "" {
		if file, err = filepath.Abs(file); err != nil {
			return nil, err
		}
		s.file(file)
	}
	s.folder(p.Scripts, policy.DefaultScripts)
	s.folder(p.Plugins, policy.DefaultPlugins)
	for _, keys := range [][]policy.KeyFile{p.Keys, p.BearerKeys, p.LegacyKeys} {
		for _, k := range keys {
			s.file(k.Path)
		}
	}
	for i := range p.Tokens {
		s.file(p.Tokens[i].CA)
	}
	for i := range p.Secrets {
		s.file(p.Secrets[i].Path)
		s.file(p.Secrets[i].Identity)
	}
	for i := range p.Listeners {
		if tls := p.Listeners[i].TLS; tls != nil {
			s.file(tls.Cert)
			s.file(tls.Key)
			for _, name := range append(append([]string{}, tls.ClientCA...), tls.Revoked...) {
				s.file(name)
			}
		}
	}
	if p.Enroll != nil {
		s.file(p.Enroll.CA)
	}
	return s.cfg, nil
}

// state adds the parts of the state folder, and the audit log.
func (s *sources) state(p *policy.Policy) {
	to, ok := s.place(p.State)
	if !ok {
		to = policy.DefaultState
	}
	s.cfg.State = to
	for _, from := range []string{filepath.Join(p.State, "history"), credential.TokenFolder(p)} {
		s.cfg.Items = append(s.cfg.Items, backup.Item{From: from, To: to + "/" + filepath.Base(from)})
	}
	if p.Audit.Off {
		return
	}
	s.cfg.Audit = p.Audit.Path
	switch folder := filepath.Dir(p.Audit.Path); folder {
	case p.State:
		s.cfg.AuditTo = to
	case s.base:
		s.cfg.AuditTo = "."
	default:
		if s.cfg.AuditTo, ok = s.place(folder); !ok {
			s.cfg.AuditTo = "audit"
		}
	}
}

func newRestore() *cobra.Command {
	var t backup.Target
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "restore DIR",
		Short: "Restore a backup for a stopped host",
		Long: `Verify the backup DIR of hearth backup, and copy its files to the folder --to: the policy, scripts and
other files, and the state folder below it, or to --state. A file of the backup that is missing, that
was changed, or that is not in the manifest is an error, and nothing is restored.

The host must be stopped. Existing files are not replaced without --overwrite. With it, an existing
state is put aside, into the folder replaced-TIME of the state folder. Remove that folder when it is no
longer needed. The ownership epoch of each store is raised: a process that used the former store cannot
write the restored one. Folders that the policy has outside of its folder are restored under the names
state, scripts, plugins and audit.`,
		Example: `  hearth restore /backup/2027-01-31 --to /srv/hearth
  hearth restore /backup/2027-01-31 --to /srv/hearth --overwrite --sha256 3f0c…`,
		Args: cli.ExactArgs("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if t.To == "" {
				return cli.Usagef("--to is missing: the folder that receives the files")
			}
			t.Dir = args[0]
			r, err := backup.Restore(cmd.Context(), &t)
			if err != nil {
				return fmt.Errorf("%w\nthe restore was not completed", err)
			}
			if asJSON {
				return display.JSON(cmd.OutOrStdout(), r)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "restored %s of %s to %s, state in %s\n", display.Plural(r.Files, "file"),
				r.Manifest.Created.Format(time.RFC3339), t.To, r.State)
			if r.Aside != "" {
				fmt.Fprintf(cmd.OutOrStdout(), "the former state is in %s\n", r.Aside)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&t.To, "to", "", "folder that receives the files")
	cmd.Flags().StringVar(&t.State, "state", "",
		"folder that receives the state (default: as in the backup, below --to)")
	cmd.Flags().BoolVar(&t.Overwrite, "overwrite", false, "replace files, and put an existing state aside")
	cmd.Flags().StringVar(&t.Sum, "sha256", "", "required SHA-256 of the manifest")
	cli.JSONFlag(cmd, &asJSON)
	return cmd
}
