package luafuzz

// A node of a program's tree. The tree is uniform so that the shrinker can cut anywhere.
type node struct {
	kind kind
	text string // name, operator, or literal as it is in the source
	kids []*node
}

type kind uint8

const (
	// Statements. A block's kids are statements.
	kindBlock         kind = iota
	kindLocal              // names, expressions
	kindAssign             // expressions (targets), expressions
	kindCallStat           // call or method call
	kindDo                 // block
	kindWhile              // condition, block
	kindRepeat             // block, condition
	kindIf                 // condition, block, condition, block, ..., and a last block for else
	kindFor                // names, expressions, block; numeric, text is "="
	kindForIn              // names, expressions, block
	kindFunctionStat       // target, function
	kindLocalFunction      // name, function
	kindReturn             // expressions
	kindBreak

	// Expressions.
	kindLiteral  // nil, true, false, number, string, ...
	kindName     // variable
	kindIndex    // object, key; text is "." for a field and "[" else
	kindCall     // function, expressions
	kindMethod   // object, expressions; text is the method's name
	kindFunction // names, block
	kindBinary   // left, right
	kindUnary    // operand
	kindParen    // expression
	kindTable    // items
	kindPair     // key, value: [key] = value; text is "." for name = value

	// Lists.
	kindNames
	kindExprs
)

func (n *node) isExpression() bool { return n.kind >= kindLiteral && n.kind <= kindTable }
