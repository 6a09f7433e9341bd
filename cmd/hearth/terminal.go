package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// readSilently asks on a terminal for one line, which the terminal does not show. ok is
// false if f is no terminal.
func readSilently(f *os.File, prompt io.Writer, what string) (line []byte, ok bool, err error) {
	fd := int(f.Fd())
	before, err := unix.IoctlGetTermios(fd, terminalGet)
	if err != nil {
		return nil, false, nil // that is how one learns that it is none
	}
	silent := *before
	silent.Lflag &^= unix.ECHO
	silent.Lflag |= unix.ICANON | unix.ECHONL
	// Whoever gives up must get the terminal back as it was.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	defer close(done)
	defer signal.Stop(signals)
	go func() { // ends with the reading
		select {
		case <-signals:
			_ = unix.IoctlSetTermios(fd, terminalSet, before)
			fmt.Fprintln(prompt)
			os.Exit(exitFailed)
		case <-done:
		}
	}()
	if err := unix.IoctlSetTermios(fd, terminalSet, &silent); err != nil {
		return nil, true, fmt.Errorf("hiding what is typed: %w", err)
	}
	defer func() { err = errors.Join(err, unix.IoctlSetTermios(fd, terminalSet, before)) }()
	fmt.Fprint(prompt, what)
	line, err = bufio.NewReader(f).ReadBytes('\n')
	if errors.Is(err, io.EOF) && len(line) > 0 {
		err = nil
	}
	return line, true, err
}
