//go:build race

package main_test

// raceEnabled reports that the race detector slows the tests down.
const raceEnabled = true
