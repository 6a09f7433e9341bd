package confine

import (
	"fmt"

	"github.com/hearthhost/hearth/sandbox/confine/executable"
	"github.com/hearthhost/hearth/sandbox/confine/fileaccess"
	"github.com/hearthhost/hearth/sandbox/confine/layer"
	"github.com/hearthhost/hearth/sandbox/confine/rootfs"
)

// forbidFiles denies all access to files and to all other objects that the kernel's Landlock supports. Open descriptors
// remain usable: the socket and the standard ones.
func forbidFiles() layer.Layer { return landlockLayer("a Landlock domain without any rule") }

// landlockLayer denies all access to files except by rules.
func landlockLayer(how string, rules ...fileaccess.Rule) layer.Layer {
	covers, err := fileaccess.Restrict(rules...)
	if err != nil {
		const remedy = "use a kernel from 5.13 with landlock among the security modules of its command line (lsm=)"
		return layer.Missing(layer.Landlock, how, remedy, err)
	}
	return layer.Held(layer.Landlock, fmt.Sprintf("%s (%s); opening / was refused", how, covers))
}

// forbidFiles denies all access to files except those of the program.
func (b *execer) forbidFiles() layer.Layer {
	rules := []fileaccess.Rule{
		fileaccess.Allow(fileaccess.Read|fileaccess.Write, rootfs.Devices...),
		fileaccess.Allow(fileaccess.Read|fileaccess.List|fileaccess.Run, b.Program.Runtime...),
		fileaccess.Allow(fileaccess.Read|fileaccess.List, b.Program.Files...),
	}
	const mayChange = fileaccess.Read | fileaccess.List | fileaccess.Write | fileaccess.Truncate | fileaccess.Make
	dir := b.Program.Dir
	if b.Namespaces {
		dir = Sockets
		if !b.ProbeOnly && executable.IsScript(execFD) {
			rules = append(rules, fileaccess.Allow(fileaccess.Read, executable.ScriptPath))
		}
		if b.Program.TmpBytes > 0 {
			rules = append(rules, fileaccess.Allow(mayChange|fileaccess.MakeDir, "/tmp"))
		}
	}
	if dir != "" {
		rules = append(rules, fileaccess.Allow(mayChange|fileaccess.Serve, dir))
	}
	return landlockLayer("a Landlock domain for the files of the program", rules...)
}
