package link_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// frameBody returns the body of a frame with these fields.
func frameBody(put func(e *link.Encoder)) []byte {
	var e link.Encoder
	e.Begin(link.HostCall, 1)
	put(&e)
	return e.Frame()[13:]
}

func sampleAsk() link.HostCallHead {
	return link.HostCallHead{Object: "acme.x", Request: 1 << 60, Service: link.Objects, Op: link.ObjectsCall}
}

func sampleObjectCall() link.ObjectCall {
	return link.ObjectCall{
		To:        "acme.y",
		Kind:      object.Set,
		Method:    "level",
		Exclusive: true,
		Format:    "pyro5/serpent",
		Payload:   []byte("payload"),
	}
}

func TestObjectCallSurvives(t *testing.T) {
	ask, call := sampleAsk(), sampleObjectCall()
	d := link.Decoder{B: frameBody(func(e *link.Encoder) { e.PutHostCall(ask); e.PutObjectCall(&call) })}
	gotAsk, gotCall := d.HostCallFields(), d.ObjectCallFields()
	if d.Err != nil {
		t.Fatal(d.Err)
	}
	if diff := cmp.Diff([]any{ask, call}, []any{gotAsk, gotCall}); diff != "" {
		t.Errorf("the object call changed on its way (-sent +received):\n%s", diff)
	}
}

func TestServiceReplySurvives(t *testing.T) {
	for _, tc := range []struct {
		name string
		r    link.ServiceReply
		err  *object.Error
	}{
		{"value", link.ServiceReply{Kind: link.ObjectValue, Payload: []byte("x")}, nil},
		{"exception", link.ServiceReply{Kind: link.ObjectException, Payload: []byte("x")}, nil},
		{"empty", link.ServiceReply{Kind: link.ObjectStream, Payload: []byte{}}, nil},
		{"error", link.ServiceReply{}, &object.Error{Code: object.CodeDenied, Msg: "why",
			Reason: object.ReasonObject, Class: "PermissionError"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := link.Decoder{B: frameBody(func(e *link.Encoder) { e.PutServiceReply(tc.r, tc.err) })}
			r, err := d.ServiceReplyFields()
			if d.Err != nil {
				t.Fatal(d.Err)
			}
			if diff := cmp.Diff([]any{tc.r, tc.err}, []any{r, err}); diff != "" {
				t.Errorf("the reply changed on its way:\n%s", diff)
			}
		})
	}
}

// TestHostCallsAreBounded decodes fields that no worker sends. Each is an error.
func TestHostCallsAreBounded(t *testing.T) {
	long := strings.Repeat("x", 256)
	objectCall := func(c link.ObjectCall) []byte { return frameBody(func(e *link.Encoder) { e.PutObjectCall(&c) }) }
	call := func(d *link.Decoder) { d.ObjectCallFields() }
	for name, tc := range map[string]struct {
		body []byte
		read func(d *link.Decoder)
	}{
		"calling object": {
			frameBody(func(e *link.Encoder) { e.PutHostCall(link.HostCallHead{Object: object.ID(long)}) }),
			func(d *link.Decoder) { d.HostCallFields() },
		},
		"object called": {objectCall(link.ObjectCall{To: object.ID(long), Kind: object.Invoke}), call},
		"method":        {objectCall(link.ObjectCall{Method: object.Method(long), Kind: object.Invoke}), call},
		"batch":         {objectCall(link.ObjectCall{Kind: object.Batch}), call},
		"no kind":       {objectCall(link.ObjectCall{}), call},
		"level": {
			frameBody(func(e *link.Encoder) { e.PutLogLine(link.LevelError+1, "x") }),
			func(d *link.Decoder) { d.LogLineFields() },
		},
		"object granted": {
			frameBody(func(e *link.Encoder) { e.PutSecrets(object.ID(long), nil, nil) }),
			func(d *link.Decoder) { d.SecretsFields() },
		},
	} {
		d := link.Decoder{B: tc.body}
		if tc.read(&d); d.Err == nil {
			t.Errorf("%s: the decoder accepts it", name)
		}
	}
	longLine := strings.Repeat("x", link.MaxLogLineBytes+1)
	d := link.Decoder{B: frameBody(func(e *link.Encoder) { e.PutLogLine(link.LevelInfo, longLine) })}
	if _, text := d.LogLineFields(); d.Err != nil || len(text) != link.MaxLogLineBytes {
		t.Errorf("a long line has %d bytes, want %d; %v", len(text), link.MaxLogLineBytes, d.Err)
	}
	d = link.Decoder{B: frameBody(func(e *link.Encoder) { e.Uint(1 << 60) })}
	if n := d.Dropped(); n != link.MaxDropped {
		t.Errorf("%d dropped lines, want %d", n, link.MaxDropped)
	}
}

// FuzzHostCall decodes bodies of HostCall, HostReply and HostPush frames. No decoder panics, exceeds its bounds or
// allocates out of proportion to the body. An accepted frame is encoded to the same bytes.
func FuzzHostCall(f *testing.F) {
	ask, call := sampleAsk(), sampleObjectCall()
	f.Add(frameBody(func(e *link.Encoder) { e.PutHostCall(ask); e.PutObjectCall(&call) }))
	f.Add(frameBody(func(e *link.Encoder) { e.PutHostCall(ask); e.PutObjectCall(&call) })[:9])
	f.Add(frameBody(func(e *link.Encoder) {
		e.PutHostCall(link.HostCallHead{Object: "acme.x", Service: link.Log, Op: link.LogLine})
		e.PutLogLine(link.LevelWarn, "line")
	}))
	f.Add(frameBody(func(e *link.Encoder) {
		e.PutHostCall(link.HostCallHead{Object: "acme.x", Service: link.Log, Op: link.LogDropped})
		e.Uint(1 << 62)
	}))
	f.Add(frameBody(func(e *link.Encoder) { e.PutServiceReply(link.ServiceReply{Kind: 1, Payload: []byte("x")}, nil) }))
	f.Add(frameBody(func(e *link.Encoder) {
		e.PutServiceReply(link.ServiceReply{}, object.Errorf(object.CodeDenied, "no"))
	}))
	f.Add(frameBody(func(e *link.Encoder) {
		e.PutPush(link.Secrets, link.SecretsGrant)
		e.PutSecrets("acme.x", []string{"k"}, map[string]string{"k": "v"})
	}))
	f.Add([]byte{1, 1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, body []byte) {
		d := link.Decoder{B: body}
		ask := d.HostCallFields()
		rest := d.B
		if d.Err == nil && len(ask.Object) > object.MaxIDBytes {
			t.Errorf("an object of %d bytes", len(ask.Object))
		}
		call := d.ObjectCallFields()
		if d.Err == nil {
			again := link.Decoder{B: frameBody(func(e *link.Encoder) { e.PutHostCall(ask); e.PutObjectCall(&call) })}
			a, c := again.HostCallFields(), again.ObjectCallFields()
			if again.Err != nil || !cmp.Equal([]any{ask, call}, []any{a, c}) {
				t.Errorf("%+v, %+v is read again as %+v, %+v: %v", ask, call, a, c, again.Err)
			}
		}
		for _, read := range []func(d *link.Decoder){
			func(d *link.Decoder) {
				l, text := d.LogLineFields()
				if d.Err == nil && (l > link.LevelError || len(text) > link.MaxLogLineBytes) {
					t.Errorf("a line of level %d and %d bytes", l, len(text))
				}
			},
			func(d *link.Decoder) {
				if n := d.Dropped(); n > link.MaxDropped {
					t.Errorf("%d dropped lines", n)
				}
			},
			func(d *link.Decoder) { d.ServiceReplyFields() },
			func(d *link.Decoder) { d.PushFields(); d.SecretsFields() },
		} {
			for _, b := range [][]byte{body, rest} {
				read(&link.Decoder{B: b})
			}
		}
	})
}
