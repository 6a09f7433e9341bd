// Package account finds the user ids of the system's accounts, from which identities of a policy are derived.
//
// It does not trust the environment: os/user without cgo invents an account from $USER for a user id that has none.
package account

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"strings"
)

// ErrNotFound reports that the system does not have the account.
var ErrNotFound = errors.New("account not found")

// Lookup returns the user id of an account. The error is [ErrNotFound] if the account does not exist. Another error
// means that the account cannot be read, or that its user id may come from the environment.
func Lookup(name string) (uint32, error) {
	u, err := user.Lookup(name)
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) {
		return 0, ErrNotFound
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("user id %q is not a number", u.Uid)
	}
	uid := uint32(n)
	// If the uid of this process has no account, os/user without cgo returns an account named $USER for it. The
	// environment must not decide about identities.
	if runtime.GOOS == "linux" && int(uid) == os.Getuid() && !listed("/etc/passwd", name, u.Uid) {
		return 0, errors.New("account may come from $USER: write host_user = true or uid = <number>")
	}
	return uid, nil
}

// listed reports whether a file in the format of passwd(5) has this uid for an account.
func listed(passwd, name, uid string) bool {
	f, err := os.Open(passwd) //nolint:gosec // constant path
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if part := strings.Split(lines.Text(), ":"); len(part) >= 3 && part[0] == name {
			return part[2] == uid
		}
	}
	return false
}
