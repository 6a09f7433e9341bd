// Package unsafestr lets texts and bytes share memory where copying megabytes would be what
// a call mostly costs. Every function says what its caller must keep to.
package unsafestr

import "unsafe"

// Bytes lends the bytes of a text to somebody who only reads them, and only as long as
// that was agreed.
func Bytes(s string) []byte {
	return unsafe.Slice(unsafe.StringData(s), len(s)) //nolint:gosec // read-only, see above
}

// Text makes bytes a text without copying them. Nobody may write to them any more.
func Text(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b)) //nolint:gosec // see above
}

// Most reports whether part lies within whole and is at least half of it: whoever keeps part
// then keeps at most as much again for nothing.
func Most(whole, part []byte) bool {
	if len(part) == 0 || 2*len(part) < len(whole) {
		return false
	}
	from, to := uintptr(unsafe.Pointer(unsafe.SliceData(whole))), uintptr(unsafe.Pointer(unsafe.SliceData(part))) //nolint:gosec // compared only
	return from <= to && to+uintptr(len(part)) <= from+uintptr(len(whole))
}
