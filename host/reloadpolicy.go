package host

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"

	"github.com/hearthhost/hearth/host/advice"
	"github.com/hearthhost/hearth/host/backend"
	"github.com/hearthhost/hearth/host/credential"
	"github.com/hearthhost/hearth/host/folder"
	"github.com/hearthhost/hearth/internal/watch"
)

// policyChanged reports whether the policy file has changed since its last reading.
func (l *reloader) policyChanged() bool {
	if l.h.cfg.PolicyFile == "" {
		return false
	}
	info, err := os.Stat(l.h.cfg.PolicyFile)
	if err != nil || l.policyInfo != nil && watch.Same(l.policyInfo, info) && !watch.Fresh(info) {
		return false
	}
	text, err := os.ReadFile(l.h.cfg.PolicyFile)
	if err != nil {
		return false
	}
	l.policyInfo = info
	return sha256.Sum256(text) != l.policySum
}

// policy reads the policy file if it has changed or was refused. It reports whether the
// next snapshot has a new policy.
func (l *reloader) policy(old *generation) bool {
	path := l.h.cfg.PolicyFile
	if path == "" || l.h.cfg.Load == nil {
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
	if news := l.setRefusal("policy", "", path, err); err != nil {
		if news {
			l.h.log.Error("policy refused: the last good one stays in force", "path", path, "err", err)
			l.h.record("policy refused", "", errorText(err))
			l.h.reloads.refused.Add(1)
		}
		return false
	}
	if l.next.Policy == old.Policy {
		if wasRefused {
			l.h.log.Info("the policy file has the policy in force again", "path", path)
		}
		return false
	}
	l.h.log.Info("policy changed", "path", path)
	l.h.record("policy changed", "", fmt.Sprintf("%x", sum))
	l.h.reloads.accept()
	return true
}

// adopt puts the file's policy into the next snapshot, with its keys and secrets.
func (l *reloader) adopt(old *generation) error {
	p, err := l.h.cfg.Load()
	if err != nil || p.Sum == old.Policy.Sum {
		return err
	}
	if l.h.lock.HandedOver() {
		p.KeepFixed(old.Policy)
	} else if what := p.FixedChange(old.Policy); what != "" {
		return fmt.Errorf("%s changed, which a running host cannot apply: run hearth upgrade; "+
			"until then nothing of the new file is in force", what)
	}
	if err := errors.Join(backend.CheckPolicy(p), backend.CheckUsers(p), folder.CheckNested(p)); err != nil {
		return err
	}
	v, err := credential.NewStore(p, old.Credentials, l.h.log)
	if err != nil {
		return err
	}
	s, err := credential.NewSecrets(p, old.secrets, l.h.log)
	if err != nil {
		return err
	}
	l.next.Policy, l.next.Credentials, l.next.secrets = p, v, s
	advice.Log(p, l.h.log)
	return nil
}
