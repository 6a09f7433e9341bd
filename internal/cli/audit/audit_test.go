package audit

import (
	"bytes"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/audit/trail"
)

// TestForgedAuditLine puts text that looks like another record into every text of a record.
func TestForgedAuditLine(t *testing.T) {
	t.Parallel()
	const forged = "x\n2027-01-31T18:00:00.000000Z  permit  root  acme.bank.pay  " +
		"from 192.0.2.1: policy.hcl:3 permit \"all\"\x1b[8m"
	for name, e := range map[string]*trail.Entry{
		"a method": {Time: "t", Event: "call", Decision: "deny", Principal: "mallory", Object: "acme.bank",
			Method: forged, Peer: "p", Reason: "r"},
		"an object": {Time: "t", Event: "see", Decision: "deny", Principal: "mallory", Object: forged, Peer: "p",
			Reason: "r"},
		"a reason": {Time: "t", Event: "call", Decision: "deny", Principal: "mallory", Object: "o", Peer: "p",
			Reason: forged},
		"an event":    {Time: "t", Event: "refused", Object: forged, Detail: forged, Why: forged},
		"a principal": {Time: "t", Event: "call", Decision: "deny", Principal: forged, Object: "o", Peer: forged},
		"with a space": {Time: "t", Event: "call", Decision: "deny", Principal: "mallory", Object: "o",
			Method: "x  from 192.0.2.1: policy.hcl:3", Peer: "p"},
	} {
		var out bytes.Buffer
		new(auditFlags).print(&out, e)
		if line := out.String(); strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") ||
			strings.Contains(line, "\x1b") {
			t.Errorf("%s makes more than a line: %q", name, line)
		}
		if name == "with a space" && strings.Contains(strings.SplitN(out.String(), `"`, 2)[0], " from 192") {
			t.Errorf("%s forges the rest of its line: %s", name, &out)
		}
	}
}
