package codec

import "github.com/hearthhost/hearth/object"

// ParseBlobInfo reads the BLBI annotation of a call whose argument stays serialized:
// the marshal of a triple (info, object id, method). The info may be any plain data
// and is skipped. Object id and method count instead of those in the payload.
//
// Source: doc/wire.md "Blobs".
func ParseBlobInfo(annotation []byte) (objectID, method string, err error) {
	r := newMarshalReader(annotation, Limits{})
	if _, err := r.openTuple("blob info", 3, 0); err != nil {
		return "", "", err
	}
	if err := r.value(noSink{}, 1, false); err != nil {
		return "", "", err
	}
	id, err := r.text("object id")
	if err != nil {
		return "", "", err
	}
	name, err := r.text("method")
	if err != nil {
		return "", "", err
	}
	return string(id), string(name), nil
}

// AppendBlobInfo appends the BLBI annotation for info (a text), object id and method.
func AppendBlobInfo(buf []byte, info, objectID, method string) ([]byte, error) {
	e := marshalEncoder{nesting{buf: buf}}
	_ = e.Begin(object.TupleKind, 3) // errors stick and come out of Document
	for _, s := range []string{info, objectID, method} {
		_ = e.Text([]byte(s))
	}
	_ = e.End()
	return e.Document()
}
