package secret

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/hearthhost/hearth/internal/cli"
)

// readSilently reads a line from a terminal without echo, after a prompt. ok is false if f is not a terminal.
func readSilently(f *os.File, prompt io.Writer, what string) (line []byte, ok bool, err error) {
	fd := int(f.Fd())
	before, err := unix.IoctlGetTermios(fd, terminalGet)
	if err != nil {
		return nil, false, nil // f is not a terminal
	}
	silent := *before
	silent.Lflag &^= unix.ECHO
	silent.Lflag |= unix.ICANON | unix.ECHONL
	// A signal must restore the terminal.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	defer close(done)
	defer signal.Stop(signals)
	go func() { // ends when the line was read
		select {
		case <-signals:
			_ = unix.IoctlSetTermios(fd, terminalSet, before)
			fmt.Fprintln(prompt)
			os.Exit(int(cli.ExitFailed)) //nolint:forbidigo // a read of the terminal cannot be interrupted
		case <-done:
		}
	}()
	if err := unix.IoctlSetTermios(fd, terminalSet, &silent); err != nil {
		return nil, true, fmt.Errorf("disabling the echo: %w", err)
	}
	defer func() { err = errors.Join(err, unix.IoctlSetTermios(fd, terminalSet, before)) }()
	fmt.Fprint(prompt, what)
	line, err = bufio.NewReader(f).ReadBytes('\n')
	if errors.Is(err, io.EOF) && len(line) > 0 {
		err = nil
	}
	return line, true, err
}
