// Package luafuzz compares a Lua engine with PUC Lua 5.1 on generated programs.
//
// [Program] returns a random program for a seed. The program prints a trace of its values and
// errors. A [Reference] runs it in Debian's lua5.1, an [Engine] in the engine under test. [Compare]
// runs both and compares the traces, and [Shrink] reduces a program that differs. The
// differences that are intended are listed in doc/lua.md; [ReadDeviations] reads that list.
//
// The programs of testdata have PUC's traces beside them. TestCorpus compares the engine with these, so they
// are tested where lua5.1 is missing, too. A new program's trace is written by
//
//	go test ./internal/luafuzz -run TestCorpus -update
//
// TestFile compares one program: go test ./internal/luafuzz -run TestFile -v -file program.lua
//
// A program gets, besides Lua's libraries, the functions of prelude.lua: T, print, tick and clip.
// The package imports no engine: its tests connect one.
package luafuzz
