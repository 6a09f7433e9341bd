package trail

import "bytes"

// VerifyBytes is Verify of one file.
func VerifyBytes(b []byte) (*Report, error) {
	v := &verifier{name: "log", fresh: true}
	err := ScanLines(bytes.NewReader(b), "log", v.line)
	return &v.report, err
}
