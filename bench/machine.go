package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// machine describes the machine of the measurement.
type machine struct {
	processor, kernel string
	cores             int
	load              string // load average of the last minute at the start
}

// thisMachine describes this machine. Unknown fields are empty.
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

// String returns the description in one line.
func (m machine) String() string {
	s := fmt.Sprintf("%d cores of %s, %s, %s", m.cores, m.processor, m.kernel, runtime.Version())
	if m.load != "" {
		s += ", load average before it " + m.load
	}
	return s
}
