package host

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// keyLine returns a line of a key file.
func keyLine(id string) string {
	return fmt.Sprintf("hearth-key-1 %s %s 2026-01-02T03:04:05Z\n", id, strings.Repeat("A", 43))
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
