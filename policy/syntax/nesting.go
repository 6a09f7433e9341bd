package syntax

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// What a policy may hold. The parser calls itself at each level and operator, and a
// stack that is spent ends the process, which nothing can recover from.
const (
	maxNesting   = 16
	maxOperators = 1000
)

// CheckNesting returns a problem if the text is deeper than a policy can sensibly be. It goes
// by tokens, whose reading does not nest.
func (r *Reader) CheckNesting(src []byte) {
	// What is wrong with the tokens themselves the parser will say.
	tokens, _ := hclsyntax.LexConfig(src, r.File, hcl.InitialPos)
	depth, operators := 0, 0
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen,
			hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc, hclsyntax.TokenTemplateInterp:
			depth++
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen,
			hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc, hclsyntax.TokenTemplateSeqEnd:
			depth = max(depth-1, 0)
		case hclsyntax.TokenTemplateControl:
			depth++
			operators++
		case hclsyntax.TokenBang, hclsyntax.TokenMinus, hclsyntax.TokenPlus, hclsyntax.TokenStar, hclsyntax.TokenSlash,
			hclsyntax.TokenPercent, hclsyntax.TokenQuestion, hclsyntax.TokenAnd, hclsyntax.TokenOr,
			hclsyntax.TokenEqualOp, hclsyntax.TokenNotEqual, hclsyntax.TokenLessThan, hclsyntax.TokenLessThanEq,
			hclsyntax.TokenGreaterThan, hclsyntax.TokenGreaterThanEq:
			operators++
		default:
		}
		if depth > maxNesting || operators > maxOperators {
			r.Problems.Add(t.Range, "", "more than %d levels of brackets or %d operators: this is no policy", maxNesting, maxOperators)
			return
		}
	}
}
