// Package shell quotes text for the command lines that messages suggest.
package shell

import "strings"

// plain are the characters that no shell interprets.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./@%+=:,-"

// Quote returns a word that a POSIX shell reads as s. It returns s itself if that needs no quotes.
func Quote(s string) string {
	if s != "" && s[0] != '=' && strings.Trim(s, plain) == "" { // zsh expands =name to the path of a command
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// Path returns a word that a POSIX shell reads as a path, and that no command takes for an option.
func Path(path string) string {
	if strings.HasPrefix(path, "-") {
		path = "./" + path
	}
	return Quote(path)
}
