// Package code compiles Lua 5.1 syntax into instructions of a register machine.
//
// Registers, evaluation order and the names in error texts follow PUC Lua 5.1.5: an operand that is a
// local variable is read when its operation runs, the targets of an assignment are evaluated from left
// to right and assigned from right to left. A [Proto] is immutable once compiled and may be shared.
package code

// Proto is a compiled function.
type Proto struct {
	Chunk     string // name of the source, for messages
	Line      int    // of "function"; 0 for a chunk
	EndLine   int
	Params    int
	Vararg    bool
	UsesArg   bool // the extra arguments are also in a table, in the register after the parameters
	Registers int  // number of registers, at most MaxRegisters

	Code     []Instr
	Lines    []int32 // of each instruction
	Consts   []Const
	Protos   []*Proto
	Captures []Capture // sources of the upvalues
	Upvals   []string  // the names of the upvalues
	Locals   []Local   // in order of declaration
}

// ParamNames returns the names of the parameters in order.
func (p *Proto) ParamNames() []string {
	names := make([]string, 0, p.Params)
	for _, l := range p.Locals {
		if len(names) == p.Params {
			break
		}
		names = append(names, l.Name)
	}
	return names
}

// Const is a constant.
type Const struct {
	Kind   ConstKind
	Number float64
	String string
}

// ConstKind is the type of a constant.
type ConstKind uint8

// The types of constants.
const (
	NilConst ConstKind = iota
	FalseConst
	TrueConst
	NumberConst
	StringConst
)

// Capture is the source of an upvalue when a closure is made: a register of the enclosing function, or one of that
// function's upvalues.
type Capture struct {
	Register bool
	Index    int
}

// Local is a local variable. Its register holds it from instruction Start until End.
type Local struct {
	Name       string
	Register   int
	Start, End int
}

// MaxRegisters is the limit of registers of a function.
const MaxRegisters = 250

// Bounds. All except maxDepth are those of PUC Lua 5.1.
const (
	maxLocals     = 200
	maxUpvalues   = 60
	maxDepth      = 2000 // nesting depth of expressions
	fieldsPerList = 50   // positional fields that one SetList takes
)
