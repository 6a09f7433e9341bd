package audit

import (
	"slices"
	"strconv"

	"github.com/hearthhost/hearth/object"
)

// Bounds on a batch, so that its record is one line that readers take.
const (
	MaxMethods     = 100     // different methods
	maxMethodBytes = 8 << 10 // of their names together
	maxRuleBytes   = 96      // of a rule that is not the only one
)

// Batch is the calls of one batch, which one record covers. Make one with [NewBatch].
type Batch struct {
	Items []Item // the different methods, in the order of their first calls
	Order []byte // the calls in order, as indices into Items
}

// Item is a method of a batch, and the decision on it.
type Item struct {
	Method object.Method
	Reason string
}

// NewBatch returns the batch of some calls, of which the reasons are to be filled in. A batch of too
// many different methods is CodeTooLarge.
func NewBatch(calls []object.Method) (*Batch, error) {
	b := &Batch{Order: make([]byte, len(calls))}
	at, bytes := map[object.Method]int{}, 0
	for i, m := range calls {
		n, ok := at[m]
		if !ok {
			n = len(b.Items)
			if bytes += len(m); n == MaxMethods || bytes > maxMethodBytes {
				return nil, object.Errorf(object.CodeTooLarge, "limit exceeded: a batch of more than %d different methods, "+
					"or %d bytes of their names; not executed", MaxMethods, maxMethodBytes)
			}
			at[m] = n
			b.Items = append(b.Items, Item{Method: m})
		}
		b.Order[i] = byte(n)
	}
	return b, nil
}

// append appends the fields of a batch: its count, and its methods and reasons as lists if there is more than one.
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

// appendOrder appends which method each call is of, as "0*3 1 0".
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

// appendList appends a field that is a list of texts.
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

// appendNumber appends a field that is a number.
func appendNumber(to []byte, name string, n int) []byte {
	to = append(append(append(to, ',', '"'), name...), `":`...)
	return strconv.AppendInt(to, int64(n), 10)
}
