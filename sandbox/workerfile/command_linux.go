package workerfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hearthhost/hearth/internal/memfile"
	"github.com/hearthhost/hearth/sandbox/worker"
)

// Command returns the command line of a worker process that runs the embedded program. The program and the host must
// have the same build id: a test run of the program compares them. After ErrNone and ErrSystem the caller starts itself
// as a worker. Any other error is a wrong build. Each call makes a file in memory, which exists until the process ends.
func Command() ([]string, error) {
	if image == "" {
		return nil, ErrNone
	}
	argv, err := command(image, worker.BuildID)
	release(image)
	return argv, err
}

// command is Command for a program.
func command(program, buildID string) ([]string, error) {
	fd, err := memfile.New("hearth-worker", program)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSystem, err)
	}
	if err := check(fd, buildID); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return []string{memfile.Path(fd), buildID}, nil
}

// checkTimeout is the time limit of the test run: a thousand times the usual duration, for busy machines.
const checkTimeout = 20 * time.Second

// check runs the program, which compares its build id with buildID.
func check(fd int, buildID string) error {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	inherited, err := memfile.Above(fd, null)
	if err != nil {
		return err
	}
	defer inherited.Close()
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, memfile.Path(fd), buildID, worker.CheckArg) //nolint:gosec // the embedded program
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{inherited}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err = cmd.Run()
	if exit := new(exec.ExitError); errors.As(err, &exit) && exit.ExitCode() == worker.ExitBuildID {
		return fmt.Errorf("the embedded worker program is of another build: hearth has the build id %q; %s; "+
			"build both with make build", buildID, strings.TrimSpace(stderr.String()))
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSystem, err)
	}
	return nil
}

// release removes the pages of the embedded program, which is not used again, from the memory of this process. They
// belong to the binary's file, from which the kernel would read them again.
func release(embedded string) {
	page := uintptr(os.Getpagesize())
	skip := -uintptr(unsafe.Pointer(unsafe.StringData(embedded))) % page
	if n := uintptr(len(embedded)); n > skip {
		rest := embedded[skip:]
		_ = unix.Madvise(unsafe.Slice(unsafe.StringData(rest), len(rest)/int(page)*int(page)), unix.MADV_DONTNEED)
	}
}
