package syntax

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Bounds of a policy. The parser recurses at each level and operator, and a stack overflow ends the process without
// recovery.
const (
	maxNesting   = 16
	maxOperators = 1000
)

// CheckNesting reports a problem if the text nests deeper than any sensible policy. It checks tokens, because reading
// them does not recurse.
func (r *Reader) CheckNesting(src []byte) {
	// The parser reports invalid tokens.
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
			r.Problems.Add(t.Range, "", "policy has more than %d levels of brackets or %d operators",
				maxNesting, maxOperators)
			return
		}
	}
}
