package object

// Intern returns b as a text, without allocating if it is the same as last: consecutive
// calls of a connection mostly name the same things.
func Intern[S ~string](b []byte, last S) S {
	if string(b) == string(last) {
		return last
	}
	return S(b)
}
