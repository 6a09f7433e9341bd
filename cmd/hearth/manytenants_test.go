//go:build linux

package main_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/object"
)

// BenchmarkManyTenants measures the real binary with 1,000 tenants of 10 objects each: the time from its start to its
// first reply, and the memory of the host and of the prewarmed workers then, and again after calls to 100 tenants. It
// reports resident memory, and proportional memory, which counts shared pages once.
func BenchmarkManyTenants(b *testing.B) {
	dir, err := os.MkdirTemp("", "hearth") //nolint:usetesting // a socket's path is short
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	bin, socket := filepath.Join(dir, "hearth"), "unix:"+filepath.Join(dir, "h.sock")
	buildHearth(b, bin)
	policy := "listener \"unix\" { address = \"unix:h.sock\" }\nprincipal \"me\" { host_user = true }\n" +
		"permit \"all\" {\n  principals = [\"me\"]\n  objects = [\"*.*\"]\n}\n"
	for t := range 1000 {
		folder := filepath.Join(dir, "scripts", fmt.Sprintf("t%d", t))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			b.Fatal(err)
		}
		for o := range 10 {
			if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("o%d.lua", o)), []byte(echoing),
				0o600); err != nil {
				b.Fatal(err)
			}
		}
		policy += fmt.Sprintf("tenant \"t%d\" {}\n", t)
	}
	if err := os.WriteFile(filepath.Join(dir, "policy.hcl"), []byte(policy), 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		serve := exec.CommandContext(b.Context(), bin, "serve", "--log-level", "error")
		serve.Dir = dir
		var log lockedBuffer
		serve.Stdout, serve.Stderr = &log, &log
		begun := time.Now()
		if err := serve.Start(); err != nil {
			b.Fatal(err)
		}
		c, err := client.New(client.Config{Address: socket})
		if err != nil {
			b.Fatal(err)
		}
		call := func(t int) error {
			ctx, cancel := context.WithTimeout(b.Context(), 30*time.Second)
			defer cancel()
			_, err := c.Object(object.ID(fmt.Sprintf("t%d.o9", t))).Call(ctx, "echo", 1)
			return err
		}
		for err := call(999); err != nil; err = call(999) {
			if time.Since(begun) > time.Minute {
				b.Fatalf("no answer: %v\n%s", err, log.String())
			}
		}
		b.ReportMetric(float64(time.Since(begun).Milliseconds()), "ms-to-answer")
		report := func(when string) {
			rss, pss := memoryOf(b, append(children(b, serve.Process.Pid), serve.Process.Pid))
			b.ReportMetric(rss, "MB-rss-"+when)
			b.ReportMetric(pss, "MB-pss-"+when)
		}
		report("idle")
		for t := range 100 {
			if err := call(t); err != nil {
				b.Fatal(err)
			}
		}
		report("100-called")
		if err := serve.Process.Signal(syscall.SIGTERM); err != nil {
			b.Fatal(err)
		}
		if err := serve.Wait(); err != nil {
			b.Fatalf("%v\n%s", err, log.String())
		}
		c.Close()
	}
}

// memoryOf returns the resident and the proportional memory of processes, in MB.
func memoryOf(b *testing.B, pids []int) (rss, pss float64) {
	b.Helper()
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			continue // it has ended
		}
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) == 3 {
				kb, _ := strconv.ParseFloat(f[1], 64)
				switch f[0] {
				case "Rss:":
					rss += kb / 1024
				case "Pss:":
					pss += kb / 1024
				}
			}
		}
	}
	return rss, pss
}
