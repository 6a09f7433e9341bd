package object

// Intern returns b as a string. It does not allocate if b equals last: consecutive calls of a connection usually have
// the same names.
func Intern[S ~string](b []byte, last S) S {
	if string(b) == string(last) {
		return last
	}
	return S(b)
}
