package main_test

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hearthhost/hearth/client"
)

// TestNoCore starts a host from a process that may write core files, with GOTRACEBACK=crash: neither it
// nor its workers may, and the variable is gone.
func TestNoCore(t *testing.T) {
	var before unix.Rlimit
	check(t, unix.Getrlimit(unix.RLIMIT_CORE, &before))
	if before.Max == 0 {
		t.Skip("SKIPPED: this process may write no core files itself")
	}
	check(t, unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: before.Max, Max: before.Max}))
	t.Cleanup(func() { check(t, unix.Setrlimit(unix.RLIMIT_CORE, &before)) })
	t.Setenv("GOTRACEBACK", "crash")
	h := startHost(t)
	c, err := client.New(client.Config{Address: h.tcp})
	check(t, err)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := c.Object("demo.counter").Call(ctx, "add", 1); err != nil { // it has a worker then
		t.Fatal(err)
	}
	pids := append([]int{h.pid}, children(t, h.pid)...)
	if len(pids) < 2 {
		t.Error("the host has no worker")
	}
	core := regexp.MustCompile(`Max core file size +(\S+) +(\S+)`)
	for _, pid := range pids {
		limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
		check(t, err)
		if m := core.FindStringSubmatch(string(limits)); m == nil || m[1] != "0" || m[2] != "0" {
			t.Errorf("process %d: the limit of core files is %q, want 0", pid, m)
		}
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err == nil && strings.Contains(string(env), "GOTRACEBACK") { // a worker's cannot be read
			t.Errorf("process %d still has GOTRACEBACK", pid)
		}
	}
}
