package main_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// children returns the processes whose parent is pid.
func children(t testing.TB, pid int) (out []int) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	check(t, err)
	for _, path := range all {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		if f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])); f[1] == strconv.Itoa(pid) {
			n, err := strconv.Atoi(strings.Split(path, "/")[2])
			check(t, err)
			out = append(out, n)
		}
	}
	return out
}
