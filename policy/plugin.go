package policy

import "github.com/hearthhost/hearth/object"

// Plugin is a plugin block: leave for an executable to start.
type Plugin struct {
	ID       object.ID   // the executable is <plugins>/<tenant>/<name>
	SHA256   string      // of the executable, lower-case hexadecimal; "" if it is not pinned
	Unpinned bool        // any content may start
	Objects  []object.ID // what it serves: ID itself, or names below it
	// Unconfined puts no walls around it. If it is set, the following are not.
	Unconfined bool
	Runtime    []string // files and folders of the system that it reads and runs from; absolute
	Files      []string // files and folders that it reads; absolute
	TmpBytes   int64    // the size of its own /tmp; 0: it has none
	Fork       bool     // it may make processes
	Where      string   // for messages: "policy.hcl:12"
}
