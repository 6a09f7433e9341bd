package web

import (
	"strings"

	"github.com/hearthhost/hearth/object"
)

// once sets the identity of a call with an idempotency key. The header has the key as a text in double quotes, or
// without them.
func (e *exchange) once(c *object.Call) error {
	key, err := one(e.r.Header, "Idempotency-Key")
	if err != nil || key == "" {
		return err
	}
	if inner, ok := strings.CutPrefix(key, `"`); ok {
		if key, ok = strings.CutSuffix(inner, `"`); !ok {
			return invalid("the header Idempotency-Key is not a text in double quotes")
		}
	}
	if key == "" || strings.ContainsAny(key, "\"\\\x00") {
		return invalid("the header Idempotency-Key is empty, or has a quote or backslash in the key")
	}
	c.Once = object.NewOnce(key, c)
	return nil
}
