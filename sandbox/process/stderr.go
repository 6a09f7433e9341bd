package process

import (
	"bufio"
	"io"
	"strings"
)

// maxLogLine bounds a line that a worker's runtime prints, in bytes. The rest is dropped.
const maxLogLine = 4 << 10

// maxLogLines bounds the number of such lines per worker. The reason of a crash comes first.
const maxLogLines = 20

// relay logs the lines that a worker's runtime prints. It returns the first line.
func (p *Process) relay(r io.Reader) (first string) {
	lines := bufio.NewReaderSize(r, maxLogLine)
	for n := 0; ; n++ {
		line, _, err := lines.ReadLine()
		if err != nil {
			if n > maxLogLines {
				p.cfg.Log.Warn("worker printed more lines than are logged", "lines", n-maxLogLines)
			}
			return first
		}
		text := ""
		if n < maxLogLines {
			text = p.owner.Redact(string(line))
			p.cfg.Log.Warn("worker printed", "line", text)
		}
		if n == 0 {
			first = text
		}
	}
}

// maxReasonBytes bounds the printed line in the cause of a worker's end.
const maxReasonBytes = 200

// exitReason returns the end of the cause of a worker's end, given the first line that its runtime printed.
func exitReason(line string) string {
	if line == "" {
		return ""
	}
	if strings.Contains(line, "out of memory") || strings.Contains(line, "cannot allocate memory") {
		return `, out of memory: limits { memory = "…" } of the tenant is its limit, object_memory that of each object`
	}
	return ", " + strings.ToValidUTF8(line[:min(len(line), maxReasonBytes)], "")
}
