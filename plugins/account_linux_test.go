package plugins_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/hearthhost/hearth/internal/procstat"
)

// TestAccount: the resources of a plugin are on its tenant's account, while it runs and when it
// has ended, behind walls and without.
func TestAccount(t *testing.T) {
	for name, unconfined := range map[string]bool{"confined": false, "unconfined": true} {
		t.Run(name, func(t *testing.T) {
			cfg, _ := prepare(t, "counted", filepath.Join(built, "misbehave"))
			cfg.Unconfined, cfg.Account = unconfined, new(procstat.Processes)
			p := runs(t, cfg)
			answers(t, p, cfg.ID)
			s := cfg.Account.Spent()
			if s.Running != 1 || s.Starts != 1 || s.Crashes != 0 || s.MemoryBytes <= 0 {
				t.Errorf("while it runs: %+v", s)
			}
			_, _ = invoke(t, p, cfg.ID, "crash")
			eventually(t, func() bool { return cfg.Account.Spent().Crashes == 1 })
			answers(t, p, cfg.ID)
			if err := p.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
			s = cfg.Account.Spent()
			if s.Running != 0 || s.Starts != 2 || s.Crashes != 1 || s.CPU <= 0 || s.MemoryBytes != 0 {
				t.Errorf("when it has ended: %+v", s)
			}
		})
	}
}
