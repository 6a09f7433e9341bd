// Package link is the private protocol between the host and a worker process: frames on one inherited stream socket.
// It defines how frames are encoded and written. Package supervise sends requests at the host's end, and package
// worker answers them.
//
// A frame is a u32 length of the rest, a u8 [Type], a u64 id, and a body whose fields [Encoder] and [Decoder] write
// and read. Either side closes the socket on the first frame that does not parse: both ends are one binary, so that
// is a bug or an attack.
//
// # Requests
//
// The host sends requests: [Call], [Next], [Load], [Describe], [Test], [Idle]. Their ids are chosen by the host, and
// the worker answers each with one [Reply] or [Described] of the same id. Many requests are in flight at a time, and
// replies come in any order.
//
// # Host calls
//
// A running object uses a service of the host by one kind of frame, [HostCall]: an [HostCallHead] and the payload of
// an op.
//
//	service  op       direction  payload              reply
//	objects  call     HostCall   [ObjectCall]         [ServiceReply], its kind one of ObjectValue, …
//	log      line     HostCall   level, text          none
//	log      dropped  HostCall   number of lines      none
//	log      failure  HostCall   text                 none
//	log      lost     HostCall   text                 none
//	secrets  grant    HostPush   object, its secrets  none
//	store    get      HostCall   key                  item
//	store    list     HostCall   range                items
//	store    commit   HostCall   batch                result, when the batch is durable
//	store    settle   HostCall   nothing              nothing
//
// The id of a HostCall frame is chosen by the worker, and [HostReply] has the same id. Id 0 marks an op without a
// reply. The worker keeps one table of the host calls that wait for their reply. The host bounds how many are in
// flight per worker, and how many bytes. [Cancel] in this direction ends a host call of which the reply is not
// needed.
//
// The worker names the object and the request from which an op comes. The host accepts an object only if this worker
// was given a version of it, and a request only if it is one that the host waits for, of the same object. Chain of
// calls, correlation id and caller come from the host's table of requests. When that request ends, the host cancels
// its host calls.
//
// The host sends data that a service changes on its side, such as a new secret, by [HostPush]. It has no reply and is
// in order with the requests: calls that are sent later find it.
//
// # Blocking
//
// A goroutine that reads a link never waits for a write: it uses [Writer.Post]. If both ends waited to write in
// their reader, neither would read again.
package link

// Type is the kind of a frame.
type Type uint8

// Frames from the host to the worker.
const (
	Libs        Type = 2 // the modules of the tenant's lib folder, as one set
	Load        Type = 3 // a version of an object, not in use yet; Described answers it unless its id is 0
	Describe    Type = 4 // Described answers it
	Call        Type = 5 // Reply answers it
	Next        Type = 6 // the next item of a stream; Reply answers it
	CloseStream Type = 7
	EndConn     Type = 8
	Cancel      Type = 9  // the answer to the request or host call of this id is not needed; in both directions
	HostReply   Type = 10 // answers HostCall
	Stop        Type = 11 // finish the queued jobs, then exit
	HostPush    Type = 12 // data of a service, without an answer
	Idle        Type = 13 // Reply has one byte: the worker holds 0 calls or streams, 1 instances, 2 nothing
	Use         Type = 14 // a loaded version answers calls from now on
	Forget      Type = 15 // a loaded version will not be used
	Remove      Type = 16 // an object was removed
	DropLibs    Type = 17 // no version needs this set of modules any longer
	Test        Type = 18 // runs the tests of a version; Described answers it
	Ping        Type = 19 // Pong answers it
	Withdraw    Type = 20 // the request of this id shall not begin; Withdrawn answers it if it had not
)

// Frames from the worker to the host.
const (
	Reply     Type = 64
	Described Type = 65
	HostCall  Type = 66 // an object uses a service; HostReply answers it unless its id is 0
	Pong      Type = 69 // answers Ping: the running requests, and for how long
	Withdrawn Type = 70 // answers Withdraw: the request of this id was not executed and has no other answer
)

const headBytes = 4 + 1 + 8

// Bounds on a Described frame and on its members, as for plugins.
const (
	MaxDescribedBytes = 1 << 20
	MaxMembers        = 1000
	MaxTypes          = 50_000 // parts of types in the signatures of a description
)

// MaxRunning bounds the requests in one Pong.
const MaxRunning = 64 << 10

// Large is the size in bytes above which a payload is not copied. A larger body belongs to its handler.
const Large = readBuffer

// FrameBytes bounds a frame with a message of this size, in bytes: escapes can double a text, and the other fields take
// up to 1 MiB.
//
// Frames of a batch of the store are bounded by FrameBytes(MinMessageBytes), whatever the largest message is.
func FrameBytes(message int) int { return 2*message + 1<<20 }

// MinMessageBytes is the least message for which a link is bounded.
const MinMessageBytes = 4 << 20
