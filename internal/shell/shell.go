// Package shell quotes text for the command lines that messages suggest.
package shell

import "strings"

// plain are the characters that no shell interprets.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./@%+=:,-"

// Quote returns a word that a POSIX shell reads as s. It is s itself where that is possible.
func Quote(s string) string {
	if s != "" && s[0] != '=' && strings.Trim(s, plain) == "" { // zsh looks for a command by "=name"
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// Path returns a word that a POSIX shell reads as a path, and no command as an option.
func Path(path string) string {
	if strings.HasPrefix(path, "-") {
		path = "./" + path
	}
	return Quote(path)
}
