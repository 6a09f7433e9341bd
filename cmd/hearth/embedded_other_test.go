//go:build !linux

package main_test

func embedFlags() []string { return nil }
