package peerlog

import (
	"testing"
	"time"
)

// TestPeerLog checks that the bound on log lines is per principal.
func TestPeerLog(t *testing.T) {
	t.Parallel()
	l := New(nil)
	now := time.Now()
	for i := range 3 * MaxLines {
		may, first := l.pass("alice", now)
		if may != (i < MaxLines) || first != (i == MaxLines) {
			t.Errorf("line %d: %v, %v", i+1, may, first)
		}
	}
	if may, _ := l.pass("bob", now); !may {
		t.Error("alice's lines count against bob")
	}
	now = now.Add(time.Second)
	if may, _ := l.pass("alice", now); !may {
		t.Error("alice's line in the next second is dropped")
	}
	if n := l.take("alice"); n != 2*MaxLines {
		t.Errorf("%d lines were dropped, want %d", n, 2*MaxLines)
	}
	if len(l.counts) != 1 {
		t.Errorf("the log counts %d principals, want bob alone", len(l.counts))
	}
}
