package audit

import (
	"bytes"
	"fmt"
	"os"

	"github.com/hearthhost/hearth/audit/evidence"
	"github.com/hearthhost/hearth/audit/trail"
)

// keptText marks a record with the sum of the kept file.
var keptText = []byte(`","event":"kept",`)

// keep removes old files beyond [Config.Keep] after their evidence is in the kept file. It runs after each rotation and
// a last time when the log closes.
func (l *Log) keep() {
	for stopped := false; !stopped; {
		select {
		case <-l.file.rotated:
		case <-l.keepStop:
			stopped = true
		}
		if l.cfg.Keep == 0 || l.shared() { // the other process may be removing files
			continue
		}
		if err := l.removeOld(); err != nil {
			l.cfg.Log.Error("old audit logs cannot be removed", "path", l.cfg.Path, "err", err)
		}
	}
}

// shared reports whether another process also writes the log.
func (l *Log) shared() bool {
	l.writing.Lock()
	defer l.writing.Unlock()
	return l.file.lease != nil
}

// removeOld removes the oldest files beyond [Config.Keep].
func (l *Log) removeOld() error {
	old, err := trail.Rotated(l.cfg.Path)
	if err != nil || len(old) <= l.cfg.Keep {
		return err
	}
	old = old[:len(old)-l.cfg.Keep]
	if err := l.keepEvidence(old); err != nil {
		return fmt.Errorf("keeping the evidence of %s: %w", old[0], err)
	}
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			return err
		}
		l.cfg.Log.Info("old audit log removed", "path", name, "kept", trail.KeptName(l.cfg.Path))
	}
	return nil
}

// keepEvidence copies the evidence of old files to the kept file.
func (l *Log) keepEvidence(old []string) error {
	k := evidence.NewSet()
	before, err := k.Read(trail.KeptName(l.cfg.Path))
	if err != nil {
		return err
	}
	if l.keptSum != "" && before != l.keptSum {
		l.cfg.Log.Error("kept audit records were changed by another process",
			"path", trail.KeptName(l.cfg.Path), "sum", before, "want", l.keptSum)
	}
	vouches := false // whether a removed record has the sum of the kept file
	for _, name := range old {
		if err := trail.EachLine(name, func(_ int, raw []byte, whole bool) bool {
			if whole {
				k.Add(raw)
				vouches = vouches || bytes.Contains(raw, keptText)
			}
			return true
		}); err != nil {
			return err
		}
	}
	lines := k.Records()
	if before == "" && len(lines) == 0 {
		return nil
	}
	sum, err := evidence.Write(trail.NewKeptName(l.cfg.Path), lines)
	if err != nil {
		return err
	}
	if sum == before && !vouches { // the log still has the record of this sum
		return os.Remove(trail.NewKeptName(l.cfg.Path))
	}
	if err := l.Note("kept", "detail", fmt.Sprintf("%d records", len(lines)), "sum", sum, "prev", before); err != nil {
		return err
	}
	if err := os.Rename(trail.NewKeptName(l.cfg.Path), trail.KeptName(l.cfg.Path)); err != nil {
		return err
	}
	l.keptSum = sum
	return nil
}
