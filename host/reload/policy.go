package reload

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"

	"github.com/hearthhost/hearth/host/advice"
	"github.com/hearthhost/hearth/host/backend"
	"github.com/hearthhost/hearth/host/credential"
	"github.com/hearthhost/hearth/host/fault"
	"github.com/hearthhost/hearth/host/folder"
	"github.com/hearthhost/hearth/internal/watch"
)

// policyChanged reports whether the policy file has changed since its last reading.
func (l *Reloader) policyChanged() bool {
	if l.cfg.PolicyFile == "" {
		return false
	}
	info, err := os.Stat(l.cfg.PolicyFile)
	if err != nil || l.policyInfo != nil && watch.Same(l.policyInfo, info) && !watch.Fresh(info) {
		return false
	}
	text, err := os.ReadFile(l.cfg.PolicyFile)
	if err != nil {
		return false
	}
	l.policyInfo = info
	return sha256.Sum256(text) != l.policySum
}

// policy reads the policy file if it has changed or was refused. It reports whether the
// next snapshot has a new policy.
func (l *Reloader) policy(old *Generation) bool {
	path := l.cfg.PolicyFile
	if path == "" || l.cfg.Load == nil {
		return false
	}
	text, err := os.ReadFile(path) //nolint:gosec // the operator names it
	sum := sha256.Sum256(text)
	if err == nil && sum == l.policySum && l.refused["policy"] == nil {
		return false
	}
	l.policySum = sum
	wasRefused := l.refused["policy"] != nil
	if err == nil {
		err = l.adopt(old)
	}
	if news := l.refused.set("policy", "", path, err); err != nil {
		if news {
			l.cfg.Log.Error("policy refused: the last good one stays in force", "path", path, "err", err)
			l.cfg.Record("policy refused", "", fault.Text(err))
			l.counts.refused.Add(1)
		}
		return false
	}
	if l.next.Policy == old.Policy {
		if wasRefused {
			l.cfg.Log.Info("the policy file has the policy in force again", "path", path)
		}
		return false
	}
	l.cfg.Log.Info("policy changed", "path", path)
	l.cfg.Record("policy changed", "", fmt.Sprintf("%x", sum))
	l.counts.accept()
	return true
}

// adopt puts the file's policy into the next snapshot, with its keys and secrets.
func (l *Reloader) adopt(old *Generation) error {
	p, err := l.cfg.Load()
	if err != nil || p.Sum == old.Policy.Sum {
		return err
	}
	if l.cfg.HandedOver() {
		p.KeepFixed(old.Policy)
	} else if what := p.FixedChange(old.Policy); what != "" {
		return fmt.Errorf("%s changed, which a running host cannot apply: run hearth upgrade; "+
			"until then nothing of the new file is in force", what)
	}
	if err := errors.Join(backend.CheckPolicy(p), backend.CheckUsers(p), folder.CheckNested(p)); err != nil {
		return err
	}
	v, err := credential.NewStore(p, old.Credentials, l.cfg.Log)
	if err != nil {
		return err
	}
	s, err := credential.NewSecrets(p, old.Secrets, l.cfg.Log)
	if err != nil {
		return err
	}
	l.next.Policy, l.next.Credentials, l.next.Secrets = p, v, s
	advice.Log(p, l.cfg.Log)
	return nil
}
