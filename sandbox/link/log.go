package link

import "errors"

// Level is the level of a log line.
type Level uint8

// The levels.
const (
	LevelDebug Level = 0
	LevelInfo  Level = 1
	LevelWarn  Level = 2
	LevelError Level = 3
)

// MaxLogLineBytes bounds the text of a log line. The decoders drop the bytes beyond it.
const MaxLogLineBytes = 16 << 10

// MaxDropped bounds the number of lines that a worker can report as dropped at once.
const MaxDropped = 1 << 30

// PutLogLine appends the fields of [LogLine], as the last of a frame.
func (e *Encoder) PutLogLine(l Level, text string) {
	e.Byte(byte(l))
	e.B = append(e.B, text...)
}

// LogLineFields reads the fields of PutLogLine. An unknown level is an error.
func (d *Decoder) LogLineFields() (l Level, text string) {
	l = Level(d.Byte())
	if l > LevelError {
		d.fail(errLevel)
	}
	return l, d.LogText()
}

var errLevel = errors.New("link: unknown level of a log line")

// LogText reads the rest of the frame as a text of at most MaxLogLineBytes.
func (d *Decoder) LogText() string {
	raw := d.Raw()
	return string(raw[:min(len(raw), MaxLogLineBytes)])
}

// Dropped reads the number of a [LogDropped] frame, at most MaxDropped.
func (d *Decoder) Dropped() uint64 { return min(d.Uint(), MaxDropped) }
