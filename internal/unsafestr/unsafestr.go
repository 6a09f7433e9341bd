// Package unsafestr converts between strings and byte slices without copying them. It is for payloads of megabytes,
// where the copy would dominate the cost of a call. Each function states the obligations of its caller.
package unsafestr

import "unsafe"

// Bytes returns the bytes of a string, which share its memory. No code may write to them, and a borrower must not
// keep them longer than its caller permits.
func Bytes(s string) []byte {
	return unsafe.Slice(unsafe.StringData(s), len(s)) //nolint:gosec // read-only
}

// Text returns a string that shares the memory of b. No code may write to b afterwards.
func Text(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b)) //nolint:gosec // b is not written to
}

// Most reports whether part is a subslice of whole with at least half of its bytes. Retaining part then wastes at
// most as many bytes as it has.
func Most(whole, part []byte) bool {
	if len(part) == 0 || 2*len(part) < len(whole) {
		return false
	}
	outer := uintptr(unsafe.Pointer(unsafe.SliceData(whole))) //nolint:gosec // only compared
	inner := uintptr(unsafe.Pointer(unsafe.SliceData(part)))  //nolint:gosec // only compared
	return outer <= inner && inner+uintptr(len(part)) <= outer+uintptr(len(whole))
}
