package worker

import (
	"testing"
)

// TestRehearse runs the calls of a prewarmed worker, which must be answered.
func TestRehearse(t *testing.T) {
	warm() // ignores errors
	if err := rehearse(); err != nil {
		t.Error(err)
	}
}
