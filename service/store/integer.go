package store

import "strconv"

// integer reads a value that is an integer. nil is 0.
func integer(value []byte) (int64, bool) {
	if value == nil {
		return 0, true
	}
	if len(value) > 20 {
		return 0, false
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	return n, err == nil && n <= MaxInteger && n >= -MaxInteger
}

func appendInteger(to []byte, n int64) []byte { return strconv.AppendInt(to, n, 10) }
