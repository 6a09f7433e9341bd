package admit

import "testing"

func TestMaxConnsFor(t *testing.T) {
	for descriptors, want := range map[uint64]int{
		1 << 62: MaxConns, 1 << 20: MaxConns, 20_000: 15_904, 1024: 768, 256: 192, 100: 36, 10: 1,
	} {
		if got := MaxConnsFor(descriptors); got != want {
			t.Errorf("with %d descriptors at most %d connections, want %d", descriptors, got, want)
		}
	}
}
