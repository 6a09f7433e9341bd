package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// machine is where it was measured.
type machine struct {
	processor, kernel string
	cores             int
	load              string // of the last minute, when the run began
}

// thisMachine asks the system; what it does not say is left out.
func thisMachine() machine {
	m := machine{cores: runtime.NumCPU(), processor: runtime.GOARCH, kernel: runtime.GOOS}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.processor = strings.TrimSpace(value)
				break
			}
		}
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.kernel = "Linux " + strings.TrimSpace(string(text))
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.load, _, _ = strings.Cut(string(text), " ")
	}
	return m
}

// String is the machine in a line.
func (m machine) String() string {
	s := fmt.Sprintf("%d cores of %s, %s, %s", m.cores, m.processor, m.kernel, runtime.Version())
	if m.load != "" {
		s += ", load average before it " + m.load
	}
	return s
}
