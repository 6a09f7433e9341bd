package confine_test

import "golang.org/x/sys/unix"

func socketpair() ([2]int, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fds[0], true)
	}
	return fds, err
}

// attacks are what a worker tries; each says "refused ..." or what it got.
var attacks = map[string]func(arg string) string{
	"echo": func(s string) string { return s },
}
