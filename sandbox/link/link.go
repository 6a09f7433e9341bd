// Package link is the private protocol between the host and a worker process: framed,
// multiplexed requests over one inherited stream socket. It knows how bytes travel, not
// what they ask for: package worker answers at one end, package supervise asks at the
// other.
//
// A frame is a u32 length of what follows, a u8 [Type], a u64 request id, and a body
// whose fields [Encoder] and [Decoder] write and read. Either side closes the socket on
// the first frame that does not parse: the ends are one binary, so that is a bug or an
// attack and nothing in between.
package link

// Type says what a frame asks or answers.
type Type uint8

// Frames from the host to the worker.
const (
	Libs        Type = 2 // the modules of the tenant's lib folder, as one set
	Load        Type = 3 // a version of an object, not yet in use; asks for Described, unless its id is 0
	Describe    Type = 4 // asks for Described
	Call        Type = 5 // asks for Reply, unless it is oneway
	Next        Type = 6 // the next item of a stream; asks for Reply
	CloseStream Type = 7
	EndConn     Type = 8
	Cancel      Type = 9  // the request of this id has no asker any more
	ProxyReply  Type = 10 // answers Proxy
	Stop        Type = 11 // finish what is queued, then exit
	Secrets     Type = 12 // all secrets of one object; before its Load, and when they change
	Idle        Type = 13 // asks whether anything is held; asks for Reply with one byte: 0 calls or streams, 1 instances, 2 nothing
	Use         Type = 14 // a version that was loaded answers calls from now on
	Forget      Type = 15 // a version that was loaded will not be used
	Remove      Type = 16 // an object is no more
	DropLibs    Type = 17 // a set of modules is not asked for any more
	Test        Type = 18 // runs the tests of a version; asks for Described
	Ping        Type = 19 // asks the reader whether it reads; asks for Pong
	Withdraw    Type = 20 // the request of this id is not to begin any more; answered by Withdrawn if it had not
)

// Frames from the worker to the host.
const (
	Reply     Type = 64
	Described Type = 65
	Log       Type = 66
	Proxy     Type = 67 // a script calls another object; asks for ProxyReply
	LeftOut   Type = 68 // lines of an object's log were left out; the id is how many
	Pong      Type = 69 // answers Ping, with the requests that run and for how long
	Withdrawn Type = 70 // answers Withdraw: the request of this id was not executed, and has no other answer
	Failed    Type = 72 // why the request of this id failed, for the host's log; before its Reply
	Lost      Type = 71 // an instance ended, and its state with it; the object and why
)

const headBytes = 4 + 1 + 8

// Bounds on a Described frame and on what it describes, as for plugins.
const (
	MaxDescribedBytes = 1 << 20
	MaxMembers        = 1000
)

// MaxRunning bounds the requests in one Pong.
const MaxRunning = 64 << 10

// Large is the size from which bytes go through a link uncopied: a frame's body of more
// comes in memory of its own, which its handler may keep.
const Large = readBuffer

// FrameBytes bounds a frame with a message of so many bytes: with what texts grow by when a
// serializer escapes them, and with head fields.
func FrameBytes(message int) int { return 2*message + 1<<20 }
