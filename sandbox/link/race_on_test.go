//go:build race

package link_test

// raceDetector reports whether the tests run with the race detector, under which a sync.Pool drops some of its items.
const raceDetector = true
