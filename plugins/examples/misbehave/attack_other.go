//go:build !linux

package main

import "github.com/hearthhost/hearth/plugins/sdk"

// attacks adds nothing: they need Linux.
func attacks(o *sdk.Object) *sdk.Object { return o }
