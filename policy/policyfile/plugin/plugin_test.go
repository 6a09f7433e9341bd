package plugin_test

import (
	"strings"
	"testing"

	"github.com/hearthhost/hearth/policy/policyfile"
	"github.com/hearthhost/hearth/policy/policytest"
)

// TestAuditLogIsNotShown checks that no plugin can read a file of the audit log, in any folder.
func TestAuditLogIsNotShown(t *testing.T) {
	for file, refused := range map[string]bool{
		"/var/log/hearth":                                  true,
		"/var/log/hearth/audit.jsonl":                      true,
		"/var/log/hearth/audit-kept.jsonl":                 true,
		"/var/log/hearth/audit-00000000000000000042.jsonl": true,
		"/var/log/hearth/other.log":                        false,
	} {
		_, err := policyfile.Parse("policy.hcl", []byte(policytest.Head+`
audit { file = "/var/log/hearth/audit.jsonl" }
tenant "shown" {
  plugin "p" {
    unpinned = true
    files    = ["`+file+`"]
  }
}
`), "/base", policytest.HostUID, policytest.Accounts)
		if (err != nil) != refused || refused && !strings.Contains(err.Error(), "the audit log") {
			t.Errorf("%s: %v, want refused: %t", file, err, refused)
		}
	}
}
