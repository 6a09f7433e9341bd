package worker

import "testing"

// TestRehearse: what a spare worker answers itself is answered.
func TestRehearse(t *testing.T) {
	if err := rehearse(); err != nil {
		t.Error(err)
	}
}
