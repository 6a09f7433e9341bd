//go:build !linux

package main

func setName() {}
