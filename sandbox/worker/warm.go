package worker

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/hearthhost/hearth/internal/nonblock"
	"github.com/hearthhost/hearth/internal/socketpair"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// warm runs calls of an internal object, so that a prewarmed worker answers its first call as fast as later ones: a
// first call takes several times longer, until code, tables and some free heap are in memory. Errors are ignored.
func warm() {
	for range 2 {
		_ = rehearse()
	}
	runtime.GC()
}

// errRehearsed ends the link of a rehearsal whose calls have been answered.
var errRehearsed = errors.New("all calls are answered")

// rehearse starts a worker in this process, which answers calls of the object warm.self in two serializers.
func rehearse() (err error) {
	ours, file, err := socketpair.New()
	if err != nil {
		return err
	}
	theirs, err := nonblock.NewSocket(file)
	if err != nil {
		ours.Close()
		return err
	}
	served := make(chan error, 1)
	go func() { served <- Serve(theirs, true) }() // ends with ours
	defer func() {
		ours.Close()
		err = errors.Join(err, <-served)
	}()
	open := 0
	in, err := link.NewReader(ours, func(typ link.Type, _ uint64, body []byte) error {
		d := link.Decoder{B: body}
		r, _, failed := d.ReplyFields()
		if typ != link.Reply || failed != nil || r.Exception {
			return fmt.Errorf("a frame of type %d in answer to a rehearsed call: %s", typ, r.Payload)
		}
		if open--; open == 0 {
			return errRehearsed
		}
		return nil
	})
	if err != nil {
		return err
	}
	out := link.NewWriter(ours)
	send := func(typ link.Type, id uint64, put func(e *link.Encoder)) {
		var e link.Encoder
		e.Begin(typ, id)
		put(&e)
		_ = out.Write(e.Frame())
	}
	const self, number = object.ID("warm.self"), 1
	send(link.Libs, 0, func(e *link.Encoder) { e.Uint(number); e.Uint(0) })
	send(link.Load, 0, func(e *link.Encoder) {
		e.PutVersion(&link.Version{
			Number: number,
			Libs:   number,
			ID:     self,
			File:   "warm.lua",
			Limits: object.Limits{}.WithDefaults(),
			Source: []byte(warmScript),
		})
	})
	send(link.Use, 0, func(e *link.Encoder) { e.Uint(number) })
	for _, c := range []object.Call{
		{Format: "pyro5/serpent", Payload: []byte(
			`# serpent utf-8 python3.2` + "\n" + `("warm.self","twice",("x",),{})`)},
		{Format: "pyro5/json", Payload: []byte(
			`{"object":"warm.self","method":"twice","params":["x"],"kwargs":{}}`)},
	} {
		open++
		c.ID, c.Kind, c.Method = self, object.Invoke, "twice"
		send(link.Call, uint64(open), func(e *link.Encoder) { e.PutCall(&c) })
	}
	if err := in.Run(false); !errors.Is(err, errRehearsed) {
		return err
	}
	return nil
}

const warmScript = `
local Warm = hearth.object { instance = "call" }
function Warm.expose:twice(s) return { s .. s, ("%d"):format(#s), s:upper():find("X") } end
return Warm`
