// Package syntax scans and parses Lua 5.1 source into a syntax tree.
//
// The accepted language is that of PUC Lua 5.1.5, including its limits: at most 200 nested
// levels of syntax. Error texts are PUC's: "prog:3: '=' expected near 'x'".
// The parser bounds its own recursion, so hostile source cannot exhaust the Go stack.
//
// Source: Lua 5.1 reference manual, section 8 "The Complete Syntax of Lua".
package syntax
