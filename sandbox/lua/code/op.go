package code

// Op is an operation of the virtual machine.
type Op uint8

// The operations. R is a register of the running function, K a constant, U an upvalue.
// D is a signed offset where an operation jumps: the next instruction is pc + 1 + D.
const (
	Move      Op = iota // R[A] = R[B]
	LoadK               // R[A] = K[D]
	LoadNil             // R[A..B] = nil
	LoadBool            // R[A] = B != 0; skip the next instruction if C != 0
	GetUpval            // R[A] = U[B]
	SetUpval            // U[B] = R[A]
	LoadEnv             // R[A] = environment
	GetGlobal           // R[A] = environment[K[D]], K[D] at most MaxName bytes long
	SetGlobal           // environment[K[D]] = R[A], likewise
	GetField            // R[A] = R[B][K[D]], K[D] a string, likewise
	GetConst            // R[A] = R[B][K[D]]
	GetIndex            // R[A] = R[B][R[C]]
	SetField            // R[A][K[D]] = R[C], K[D] a string, at most MaxName bytes long
	SetConst            // R[A][K[D]] = R[C]
	SetIndex            // R[A][R[B]] = R[C]
	NewTable            // R[A] = {}, room for B positional and C other fields, both in floating point bytes
	Self                // R[A+1] = R[B]; R[A] = R[B][K[D]], K[D] at most MaxName bytes long

	AddV // R[A] = R[B] + R[C]
	SubV
	MulV
	DivV
	ModV
	PowV
	AddK // R[A] = R[B] + K[D]
	SubK
	MulK
	DivK
	ModK
	PowK
	KAdd // R[A] = K[D] + R[C]
	KSub
	KMul
	KDiv
	KMod
	KPow
	Unm // R[A] = -R[B]
	Not // R[A] = not R[B]
	Len // R[A] = #R[B]

	Concat  // R[A] = R[B] .. ... .. R[C]
	Jump    // jump
	Eq      // if (R[B] == R[C]) == (A != 0) jump
	Lt      // if (R[B] < R[C]) == (A != 0) jump
	Le      // if (R[B] <= R[C]) == (A != 0) jump
	EqK     // if (R[B] == K[C]) == (A != 0) jump
	LtK     // if (R[B] < K[C]) == (A != 0) jump
	LeK     // if (R[B] <= K[C]) == (A != 0) jump
	KLt     // if (K[C] < R[B]) == (A != 0) jump
	KLe     // if (K[C] <= R[B]) == (A != 0) jump
	Test    // if truth of R[A] == (C != 0) jump
	TestSet // if truth of R[B] == (C != 0) R[A] = R[B] and jump

	Call     // R[A], ... R[A+C-2] = R[A](R[A+1], ... R[A+B-1]); B 0: up to the top; C 0: all results, setting the top
	TailCall // return R[A](R[A+1], ... R[A+B-1])
	Return   // return R[A], ... R[A+B-2]; B 0: up to the top
	ForPrep  // R[A] -= R[A+2]; jump
	ForLoop  // R[A] += R[A+2]; if it has not passed R[A+1], R[A+3] = R[A] and jump
	ForIn    // R[A+3], ... R[A+2+C] = R[A](R[A+1], R[A+2]); if R[A+3] is not nil, R[A+2] = R[A+3] and jump
	SetList  // R[A][D+i] = R[A+i] for i from 1 to B; B 0: up to the top
	Close    // close all upvalues from R[A] on
	Closure  // R[A] = a closure of Protos[D]
	Vararg   // R[A], ... R[A+B-2] = the extra arguments; B 0: all, setting the top

	Ops // number of operations
)

var opNames = [Ops]string{
	"move", "loadk", "loadnil", "loadbool", "getupval", "setupval", "loadenv", "getglobal", "setglobal", "getfield",
	"getconst", "getindex", "setfield", "setconst", "setindex", "newtable", "self",
	"add", "sub", "mul", "div", "mod", "pow", "addk", "subk", "mulk", "divk", "modk", "powk",
	"kadd", "ksub", "kmul", "kdiv", "kmod", "kpow", "unm", "not", "len", "concat", "jump",
	"eq", "lt", "le", "eqk", "ltk", "lek", "klt", "kle", "test", "testset",
	"call", "tailcall", "return", "forprep", "forloop", "forin", "setlist", "close", "closure", "vararg",
}

// String returns the name of the operation.
func (o Op) String() string { return opNames[o] }

// Jumps reports whether the operation can jump by D.
func (o Op) Jumps() bool {
	return o >= Jump && o <= TestSet || o == ForPrep || o == ForLoop || o == ForIn
}

// Instr is one instruction: the operation in bits 0 to 7, A in 8 to 15, B in 16 to 23, C in 24 to 31 and
// D in 32 to 63.
type Instr uint64

// Make builds an instruction.
func Make(op Op, a, b, c, d int) Instr {
	return Instr(op) | Instr(uint8(a))<<8 | Instr(uint8(b))<<16 | Instr(uint8(c))<<24 | Instr(uint32(int32(d)))<<32
}

// MaxName is the length limit of names in the fast operations on fields and globals. Comparing a longer name is charged
// for.
const MaxName = 128

// Op returns the operation.
func (i Instr) Op() Op { return Op(i) }

// A returns the first operand.
func (i Instr) A() int { return int(uint8(i >> 8)) }

// B returns the second operand.
func (i Instr) B() int { return int(uint8(i >> 16)) }

// C returns the third operand.
func (i Instr) C() int { return int(uint8(i >> 24)) }

// D returns the wide operand.
func (i Instr) D() int { return int(int32(i >> 32)) }

func (i Instr) withD(d int) Instr { return i&0xffffffff | Instr(uint32(int32(d)))<<32 }

// floatByte packs a size into a byte, rounding up: eeeeexxx is (8 + xxx) << (eeeee - 1), and x below 8. The rounding
// decides the size of a constructor's table, which the length operator can show.
func floatByte(x int) int {
	e := 0
	for x >= 16 {
		x = (x + 1) >> 1
		e++
	}
	if x < 8 {
		return x
	}
	return (e+1)<<3 | (x - 8)
}

// Size unpacks a floating point byte.
func Size(b int) int {
	if e := b >> 3 & 31; e > 0 {
		return (b&7 + 8) << (e - 1)
	}
	return b
}
