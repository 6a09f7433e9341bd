package audit

import (
	"slices"
	"strconv"

	"github.com/hearthhost/hearth/object"
)

// Bounds on a batch: its record must fit into one line.
const (
	MaxMethods     = 100     // different methods
	maxMethodBytes = 8 << 10 // bytes of all method names
	maxRuleBytes   = 96      // bytes of a rule's name if there are several rules
)

// Batch is the calls of a batch, which one record covers. Create it with [NewBatch].
type Batch struct {
	Items []Item // different methods, in the order of their first calls
	Order []byte // calls in order, as indices into Items
}

// Item is a method of a batch and the decision on it.
type Item struct {
	Method object.Method
	Reason string
}

// NewBatch returns the batch of calls; the caller fills in the reasons. Too many different methods are CodeTooLarge.
func NewBatch(calls []object.Method) (*Batch, error) {
	b := &Batch{Order: make([]byte, len(calls))}
	at, bytes := map[object.Method]int{}, 0
	for i, m := range calls {
		n, ok := at[m]
		if !ok {
			n = len(b.Items)
			bytes += len(m)
			if n == MaxMethods || bytes > maxMethodBytes {
				return nil, object.Errorf(object.CodeTooLarge,
					"limit exceeded: a batch of more than %d different methods, "+
						"or %d bytes of their names; not executed",
					MaxMethods, maxMethodBytes)
			}
			at[m] = n
			b.Items = append(b.Items, Item{Method: m})
		}
		b.Order[i] = byte(n)
	}
	return b, nil
}

// append appends the fields of a batch: the count, the methods and the reasons. Several methods are lists.
func (b *Batch) append(to []byte) []byte {
	first := b.Items[0]
	if len(b.Items) == 1 {
		to = appendField(to, "method", string(first.Method))
		to = appendField(to, "reason", first.Reason)
		return appendNumber(to, "count", len(b.Order))
	}
	to = appendList(to, "methods", b.Items, func(i Item) string { return string(i.Method) })
	if slices.ContainsFunc(b.Items, func(i Item) bool { return i.Reason != first.Reason }) {
		cut := func(i Item) string { return i.Reason[:min(len(i.Reason), maxRuleBytes)] }
		to = appendList(to, "reasons", b.Items, cut)
	} else {
		to = appendField(to, "reason", first.Reason)
	}
	to = appendNumber(to, "count", len(b.Order))
	return append(b.appendOrder(append(to, `,"order":"`...)), '"')
}

// appendOrder appends the method of each call as an index, run-length encoded: "0*3 1 0".
func (b *Batch) appendOrder(to []byte) []byte {
	for i := 0; i < len(b.Order); {
		from := i
		for i < len(b.Order) && b.Order[i] == b.Order[from] {
			i++
		}
		if from > 0 {
			to = append(to, ' ')
		}
		to = strconv.AppendUint(to, uint64(b.Order[from]), 10)
		if i-from > 1 {
			to = strconv.AppendInt(append(to, '*'), int64(i-from), 10)
		}
	}
	return to
}

// appendList appends a field with a list of texts.
func appendList(to []byte, name string, items []Item, text func(Item) string) []byte {
	to = append(append(append(to, ',', '"'), name...), `":[`...)
	for i, item := range items {
		if i > 0 {
			to = append(to, ',')
		}
		to = append(appendEscaped(append(to, '"'), text(item)), '"')
	}
	return append(to, ']')
}

// appendNumber appends a field with a number.
func appendNumber(to []byte, name string, n int) []byte {
	to = append(append(append(to, ',', '"'), name...), `":`...)
	return strconv.AppendInt(to, int64(n), 10)
}
