//go:build !linux

package workerfile

// Command returns ErrNone.
func Command() ([]string, error) { return nil, ErrNone }
