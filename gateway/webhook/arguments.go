package webhook

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/web"
)

// maxDepth bounds the nesting of a body that the method gets as a value, too: less than that of arguments.
const maxDepth = 60

// hidden are headers that the method does not get: credentials for other servers on the way.
var hidden = map[string]bool{"Authorization": true, "Cookie": true, "Proxy-Authorization": true}

// Arguments returns the payload of the call for a verified event, in the format http/json: the body as bytes, and an
// object with id, webhook, headers, and json if the body is declared as JSON and valid.
func Arguments(name, id string, header http.Header, body []byte) ([]byte, error) {
	headers := map[string]string{}
	for key, values := range header {
		if !hidden[key] {
			headers[strings.ToLower(key)] = strings.Join(values, ", ")
		}
	}
	event := map[string]any{"id": id, "webhook": name, "headers": headers}
	if isJSON(header) && web.Decode(body, codec.Limits{Depth: maxDepth}, codec.Discard) == nil {
		event["json"] = json.RawMessage(body)
	}
	var buffer bytes.Buffer
	enc := json.NewEncoder(&buffer)
	enc.SetEscapeHTML(false) // the document would grow
	if err := enc.Encode(event); err != nil {
		return nil, fmt.Errorf("arguments of an event: %w", err)
	}
	doc := bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))
	out := make([]byte, 0, len(doc)+base64.StdEncoding.EncodedLen(len(body))+64)
	out = append(out, `[{"data":"`...)
	out = base64.StdEncoding.AppendEncode(out, body)
	out = append(out, `","encoding":"base64"},`...)
	out = append(out, doc...)
	return append(out, ']'), nil
}

// ArgumentBytes returns the greatest memory that Arguments takes for a body, in bytes.
func ArgumentBytes(body int) int { return 5*body + 128<<10 }

// isJSON reports whether a request declares its body as JSON.
func isJSON(header http.Header) bool {
	kind, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	return err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json"))
}
