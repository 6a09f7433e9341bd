//go:build race

package channel_test

// raceDetector reports whether the tests run with the race detector, under which the pools of crypto/tls drop some of
// their items.
const raceDetector = true
