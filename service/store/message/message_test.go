package message_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/service/store"
	"github.com/hearthhost/hearth/service/store/message"
)

// batch has every kind of write.
var batch = store.Batch{
	Checks: []store.Check{{Key: "c", Version: 1 << 40}},
	Writes: []store.Write{
		{Op: store.Put, Key: "a", Value: []byte("1"), TTL: time.Hour, If: store.AnyVersion},
		{Op: store.Delete, Key: "b", If: 0},
		{Op: store.Increment, Key: "c", Delta: -1 << 53, If: 5},
	},
}

// TestMessages encodes values and decodes them. A missing key has a nil value.
func TestMessages(t *testing.T) {
	items := []store.Item{{Key: "a", Value: []byte("1"), Version: 3, Expires: 1 << 45}, {Key: "b"}}
	result := store.Result{Room: 7, Integers: []int64{0, -1, 1 << 53}}
	r := store.Range{Prefix: "p", After: "a", Before: "b", Reverse: true, Limit: 1000}
	var e link.Encoder
	message.PutItem(&e, &items[1])
	message.PutRange(&e, &r)
	message.PutPage(&e, items, true)
	message.PutBatch(&e, &batch)
	message.PutResult(&e, &result)
	d := &link.Decoder{B: e.B}
	missing := message.ItemFields(d)
	gotRange := message.RangeFields(d)
	gotItems, more := message.PageFields(d)
	gotBatch := message.BatchFields(d)
	gotResult := message.ResultFields(d)
	if d.Err != nil || len(d.B) > 0 || missing.Value != nil || !more {
		t.Errorf("%v, %d bytes are left, %+v, more %v", d.Err, len(d.B), missing, more)
	}
	for _, diff := range []string{
		cmp.Diff(r, gotRange),
		cmp.Diff(items, gotItems),
		cmp.Diff(&batch, gotBatch, cmpopts.EquateEmpty()),
		cmp.Diff(result, gotResult),
	} {
		if diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// FuzzBatch decodes batches. A batch takes memory in proportion to its message.
func FuzzBatch(f *testing.F) {
	var e link.Encoder
	message.PutBatch(&e, &batch)
	f.Add(e.B)
	f.Fuzz(func(t *testing.T, body []byte) {
		b := message.BatchFields(&link.Decoder{B: body})
		if len(b.Writes)+len(b.Checks) > len(body)+1 {
			t.Errorf("%d writes and checks in %d bytes", len(b.Writes)+len(b.Checks), len(body))
		}
	})
}
