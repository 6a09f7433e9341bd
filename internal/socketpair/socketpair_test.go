package socketpair_test

import (
	"io"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hearthhost/hearth/internal/socketpair"
)

func TestNew(t *testing.T) {
	ours, theirs, err := socketpair.New()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	flags, err := unix.FcntlInt(theirs.Fd(), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %x, %v: another process would inherit it", flags, err)
	}
	if _, err := theirs.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	if got, err := io.ReadAll(ours); err != nil || string(got) != "x" {
		t.Errorf("read %q, %v", got, err)
	}
}
