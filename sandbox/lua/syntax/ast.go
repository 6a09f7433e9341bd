package syntax

// Expr is an expression.
type Expr interface{ expr() }

// Stmt is a statement.
type Stmt interface{ stmt() }

// Nil and the types below are expressions. Line is the line of the last token of the node, where PUC reports an error.
// For a call it is the line of the opening parenthesis.
type (
	Nil    struct{}
	True   struct{}
	False  struct{}
	Number struct{ Value float64 }
	String struct{ Value string }
	Vararg struct{ Line int }

	Name struct {
		Name string
		Line int
	}
	Index struct {
		Object, Key Expr
		Line        int
	}
	// Call is Func(Args), or Func:Method(Args) if Method is not empty.
	Call struct {
		Func     Expr
		Method   string
		Args     []Expr
		Line     int
		SelfLine int // of the method's name
	}
	Binary struct {
		Op          Op
		Left, Right Expr
		Line        int
	}
	Unary struct {
		Op   Op
		X    Expr
		Line int
	}
	// Logical is "and" or "or".
	Logical struct {
		And         bool
		Left, Right Expr
	}
	// Paren is an expression in parentheses: exactly one value.
	Paren struct{ X Expr }
	// Table is a constructor. A field without a key is positional.
	Table struct {
		Fields []Field
		Line   int
	}
	Function struct {
		Params  []string
		Vararg  bool // the parameters end with "..."
		UsesArg bool // the body does not mention "...": the table "arg" of Lua 5.0 is needed
		Body    []Stmt
		Line    int // of "function"
		EndLine int // of "end"
	}
)

// Field is one entry of a table constructor.
type Field struct {
	Key, Value Expr // Key is nil in a positional entry
	Line       int
}

// Op is an operator.
type Op uint8

// The operators.
const (
	Add Op = iota
	Sub
	Mul
	Div
	Mod
	Pow
	Concat
	Eq
	Ne
	Lt
	Le
	Gt
	Ge
	Neg
	Not
	Len
)

// LocalStmt and the types below are statements.
type (
	// LocalStmt is "local Names = Exprs".
	LocalStmt struct {
		Names []string
		Exprs []Expr
		Line  int
	}
	AssignStmt struct {
		Targets []Expr // Name or Index
		Exprs   []Expr
		Line    int
	}
	CallStmt struct{ Call *Call }
	DoStmt   struct {
		Body []Stmt
		Line int // of the last token
	}
	WhileStmt struct {
		Cond Expr
		Body []Stmt
		Line int // of "while"
		End  int // of "end"
	}
	RepeatStmt struct {
		Body []Stmt
		Cond Expr
		Line int // of the condition's last token
	}
	// IfStmt has one more block than conditions if it has an "else".
	IfStmt struct {
		Conds  []Expr
		Blocks [][]Stmt
		Lines  []int // of the last token of each block
	}
	NumericFor struct {
		Name              string
		Start, Stop, Step Expr // Step is nil if it is absent
		Body              []Stmt
		Line              int // of "for"
		DoLine            int // of "do"
	}
	GenericFor struct {
		Names  []string
		Exprs  []Expr
		Body   []Stmt
		Line   int // of the token after "in"
		DoLine int // of "do"
	}
	LocalFunction struct {
		Name string
		Func *Function
	}
	// FunctionStmt assigns a function to a name or a field.
	FunctionStmt struct {
		Target Expr
		Func   *Function
		Line   int
	}
	ReturnStmt struct {
		Exprs []Expr
		Line  int
	}
	BreakStmt struct{ Line int }
)

func (*Nil) expr()      {}
func (*True) expr()     {}
func (*False) expr()    {}
func (*Number) expr()   {}
func (*String) expr()   {}
func (*Vararg) expr()   {}
func (*Name) expr()     {}
func (*Index) expr()    {}
func (*Call) expr()     {}
func (*Binary) expr()   {}
func (*Unary) expr()    {}
func (*Logical) expr()  {}
func (*Paren) expr()    {}
func (*Table) expr()    {}
func (*Function) expr() {}

func (*LocalStmt) stmt()     {}
func (*AssignStmt) stmt()    {}
func (*CallStmt) stmt()      {}
func (*DoStmt) stmt()        {}
func (*WhileStmt) stmt()     {}
func (*RepeatStmt) stmt()    {}
func (*IfStmt) stmt()        {}
func (*NumericFor) stmt()    {}
func (*GenericFor) stmt()    {}
func (*LocalFunction) stmt() {}
func (*FunctionStmt) stmt()  {}
func (*ReturnStmt) stmt()    {}
func (*BreakStmt) stmt()     {}
