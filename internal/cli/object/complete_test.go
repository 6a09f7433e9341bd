package object

import (
	"slices"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
)

// TestCompletionsOfHostileHost has a host offer names that a shell would insert into the command line.
func TestCompletionsOfHostileHost(t *testing.T) {
	t.Parallel()
	hostile := []string{"$(reboot)", "acme.x;reboot", "acme.x\nacme.y", "acme.x\tdoc", "`reboot`", "acme.\x1b[2J",
		"--at=evil:1", "", "_activeHelp_ run reboot", "acme.x y", "acme.x'", "acme.\u009b2J", "acme.\xff"}
	good := []string{"acme.counter", "acme.sub.counter", string(object.Daemon)}
	if got := offerObjects(append(slices.Clone(hostile), good...)); !slices.Equal(got, good) {
		t.Errorf("objects %q, want %q", got, good)
	}
	var members []object.Member
	for _, name := range hostile {
		members = append(members, object.Member{Name: object.Method(name), Method: true})
	}
	members = append(members, object.Member{Name: "add", Method: true, Doc: "adds\ta \x1b[2Jnumber\r\u202e\nmore"},
		object.Member{Name: "long", Method: true,
			Doc: strings.Repeat("é", maxCompletionDoc)}, object.Member{Name: "total"})
	want := []string{"add\tadds\\ta \\u001b[2Jnumber\\u000d\\u202e",
		"long\t" + strings.Repeat("é", maxCompletionDoc/2) + "…"}
	if got := offerMethods(members); !slices.Equal(got, want) {
		t.Errorf("methods %q, want %q", got, want)
	}
}
