//go:build !linux

package worker

// warm does nothing: no worker is started in advance here.
func warm() {}
