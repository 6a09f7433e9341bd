package confine

import (
	"fmt"

	"github.com/hearthhost/hearth/sandbox/confine/rootfs"
)

// forbidFiles denies all access to files and to all other objects that the kernel's Landlock supports. Open descriptors
// remain usable: the socket and the standard ones.
func forbidFiles() Layer { return landlockLayer("a Landlock domain without any rule") }

// landlockLayer denies all access to files except by rules.
func landlockLayer(how string, rules ...fileRule) Layer {
	covers, err := restrictFiles(rules...)
	if err != nil {
		const remedy = "use a kernel from 5.13 with landlock among the security modules of its command line (lsm=)"
		return missing(Landlock, how, remedy, err)
	}
	return holds(Landlock, fmt.Sprintf("%s (%s); opening / was refused", how, covers))
}

// forbidFiles denies all access to files except those of the program.
func (b *execer) forbidFiles() Layer {
	rules := []fileRule{
		{mayRead | mayWrite, rootfs.Devices},
		{mayRead | mayList | mayRun, b.Program.Runtime},
		{mayRead | mayList, b.Program.Files},
	}
	const mayChange = mayRead | mayList | mayWrite | mayTruncate | mayMake
	dir := b.Program.Dir
	if b.Namespaces {
		dir = Sockets
		if !b.ProbeOnly && isScript(execFD) {
			rules = append(rules, fileRule{mayRead, []string{scriptPath}})
		}
		if b.Program.TmpBytes > 0 {
			rules = append(rules, fileRule{mayChange | mayMakeDir, []string{"/tmp"}})
		}
	}
	if dir != "" {
		rules = append(rules, fileRule{mayChange | mayServe, []string{dir}})
	}
	return landlockLayer("a Landlock domain for the files of the program", rules...)
}
