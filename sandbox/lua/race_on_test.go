//go:build race

package lua_test

// raceEnabled reports that the race detector slows the tests down.
const raceEnabled = true
