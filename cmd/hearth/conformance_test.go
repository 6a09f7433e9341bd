package main_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// conformancePolicy lets demo.conform call demo.secret, which the client may not.
const conformancePolicy = `
listener "tcp" { address = "127.0.0.1:0" }
principal "me" { uid = %d }
tenant "demo" {}
permit "the tests may call" {
  principals = ["me"]
  objects    = ["demo.conform", "demo.helper", "demo.cart:*"]
}
permit "the object may call more" {
  principals = ["object:demo.conform"]
  objects    = ["demo.helper", "demo.secret"]
}
`

// TestPyroConformance runs the list of conformance.py with the real Pyro4: for each row, the host behaves as a daemon
// of Pyro. With HEARTH_PYRO5, the folder of its package, it runs the list with the real Pyro5, too.
func TestPyroConformance(t *testing.T) {
	needPyro4(t)
	h := startHostWith(t, fmt.Sprintf(conformancePolicy, os.Getuid()), func(dir string) {
		for _, name := range []string{"conform", "helper", "cart"} {
			text, err := os.ReadFile(filepath.Join("testdata", "pyro", name+".lua"))
			check(t, err)
			check(t, os.WriteFile(filepath.Join(dir, "scripts", "demo", name+".lua"), text, 0o644))
		}
		check(t, os.WriteFile(filepath.Join(dir, "scripts", "demo", "secret.lua"), []byte(echoing), 0o644))
	})
	folders := map[string]string{"Pyro4": ""}
	if at := os.Getenv("HEARTH_PYRO5"); at != "" {
		folders["Pyro5"] = at
	}
	for name, folder := range folders {
		t.Run(name, func(t *testing.T) {
			cmd := pyro(t, h, "conformance.py")
			cmd.Env = append(cmd.Env, "HEARTH_PYRO5="+folder, "HEARTH_ROWS="+os.Getenv("HEARTH_ROWS"))
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("testdata/pyro/conformance.py: %v\n%s", err, &stderr)
			}
			rows := bufio.NewScanner(bytes.NewReader(out))
			rows.Buffer(nil, 1<<20)
			for rows.Scan() {
				var r struct{ Row, Error string }
				check(t, json.Unmarshal(rows.Bytes(), &r))
				t.Run(r.Row, func(t *testing.T) {
					if r.Error != "" {
						t.Error(r.Error)
					}
				})
			}
		})
	}
}
