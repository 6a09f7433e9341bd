package largebuf

import "testing"

// empty drops all kept buffers.
func empty(t *testing.T) {
	t.Helper()
	expire()
	expire()
	if pool.bytes != 0 || len(pool.kept) != 0 {
		t.Fatalf("%d buffers of %d bytes are kept after two expiries", len(pool.kept), pool.bytes)
	}
}

func TestReuse(t *testing.T) {
	empty(t)
	b := Get(1 << 20)
	if len(b) != 1<<20 || cap(b) <= 1<<20 {
		t.Fatalf("Get returned %d bytes of %d", len(b), cap(b))
	}
	message := b[100:] // without a head
	if garbage := Put(message); garbage != 0 {
		t.Fatalf("%d bytes were not kept", garbage)
	}
	again := Get(1 << 20)
	if &again[0] != &message[0] {
		t.Error("a message of the same size did not get the buffer")
	}
	if other := Get(1 << 20); &other[0] == &again[0] {
		t.Error("two messages got one buffer")
	}
	Put(again)
	if small := Get(MinBytes); &small[0] == &again[0] {
		t.Error("a message got a buffer of more than twice its size")
	}
	empty(t)
}

func TestBounds(t *testing.T) {
	empty(t)
	for _, n := range []int{0, 1, MinBytes - 1, MaxKept + 1} {
		if garbage := Put(make([]byte, n)); garbage != n || Kept() != 0 {
			t.Errorf("of a buffer of %d bytes %d are garbage, %d are kept", n, garbage, Kept())
		}
	}
	for range MaxKept / (1 << 20) {
		if garbage := Put(make([]byte, 1<<20)); garbage != 0 {
			t.Fatalf("of a buffer within the bound %d bytes are garbage", garbage)
		}
	}
	if garbage := Put(make([]byte, 5<<19)); garbage != 3<<20 || Kept() != MaxKept-1<<19 {
		t.Errorf("of a buffer beyond the bound %d bytes are garbage, %d are kept", garbage, Kept())
	}
	if garbage := Put(make([]byte, MaxKept)); garbage != MaxKept-1<<19 || Kept() != MaxKept {
		t.Errorf("of a buffer as large as the bound %d bytes are garbage, %d are kept", garbage, Kept())
	}
	empty(t)
}

// TestExpiry: a buffer that is used remains.
func TestExpiry(t *testing.T) {
	empty(t)
	a, b := make([]byte, 1<<20), make([]byte, 4<<20)
	Put(a)
	Put(b)
	expire()
	Put(Get(4 << 20))
	expire()
	if len(pool.kept) != 1 || cap(pool.kept[0].b) != 4<<20 {
		t.Errorf("%d buffers are kept, want the one that was used", len(pool.kept))
	}
	empty(t)
}

func TestDrop(t *testing.T) {
	empty(t)
	if Drop() {
		t.Error("Drop found a buffer in an empty pool")
	}
	Put(Get(1 << 20))
	if !Drop() || Kept() != 0 {
		t.Errorf("%d bytes are kept after Drop", Kept())
	}
}
