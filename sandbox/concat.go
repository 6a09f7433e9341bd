package sandbox

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
)

// The VM joins texts with ".." in one instruction, however large they are: a script of
// three lines doubles one until the process has no memory left. So ".." becomes a call of
// a function of ours before the code is compiled, which measures first. The function is in
// a local variable around the script, whose name no script can write.

// joinName is the name of that variable.
const joinName = "..\x00"

// maxOperands bounds the operands of one call: each takes a register.
const maxOperands = 64

// withJoin returns the code of a chunk that takes the function and returns the script.
func withJoin(script []ast.Stmt) []ast.Stmt {
	rewriteBlock(script)
	body := &ast.FunctionExpr{ParList: &ast.ParList{HasVargs: true}, Stmts: script}
	body.SetLine(1)
	body.SetLastLine(1)
	if n := len(script); n > 0 {
		body.SetLastLine(script[n-1].LastLine())
	}
	local := &ast.LocalAssignStmt{Names: []string{joinName}, Exprs: []ast.Expr{&ast.Comma3Expr{}}}
	result := &ast.ReturnStmt{Exprs: []ast.Expr{body}}
	for _, s := range []ast.Stmt{local, result} {
		s.SetLine(1)
		s.SetLastLine(1)
	}
	local.Exprs[0].SetLine(1)
	return []ast.Stmt{local, result}
}

func rewriteBlock(stmts []ast.Stmt) {
	for _, s := range stmts {
		rewriteStmt(s)
	}
}

func rewriteStmt(s ast.Stmt) {
	switch s := s.(type) {
	case *ast.AssignStmt:
		rewriteAll(s.Lhs)
		rewriteAll(s.Rhs)
	case *ast.LocalAssignStmt:
		rewriteAll(s.Exprs)
	case *ast.FuncCallStmt:
		s.Expr = rewrite(s.Expr)
	case *ast.DoBlockStmt:
		rewriteBlock(s.Stmts)
	case *ast.WhileStmt:
		s.Condition = rewrite(s.Condition)
		rewriteBlock(s.Stmts)
	case *ast.RepeatStmt:
		s.Condition = rewrite(s.Condition)
		rewriteBlock(s.Stmts)
	case *ast.IfStmt:
		s.Condition = rewrite(s.Condition)
		rewriteBlock(s.Then)
		rewriteBlock(s.Else)
	case *ast.NumberForStmt:
		s.Init, s.Limit, s.Step = rewrite(s.Init), rewrite(s.Limit), rewrite(s.Step)
		rewriteBlock(s.Stmts)
	case *ast.GenericForStmt:
		rewriteAll(s.Exprs)
		rewriteBlock(s.Stmts)
	case *ast.FuncDefStmt:
		s.Name.Func, s.Name.Receiver = rewrite(s.Name.Func), rewrite(s.Name.Receiver)
		rewriteBlock(s.Func.Stmts)
	case *ast.ReturnStmt:
		rewriteAll(s.Exprs)
	}
}

func rewriteAll(list []ast.Expr) {
	for i := range list {
		list[i] = rewrite(list[i])
	}
}

// rewrite returns an expression without "..".
func rewrite(e ast.Expr) ast.Expr {
	switch e := e.(type) {
	case *ast.AttrGetExpr:
		e.Object, e.Key = rewrite(e.Object), rewrite(e.Key)
	case *ast.TableExpr:
		for _, f := range e.Fields {
			f.Key, f.Value = rewrite(f.Key), rewrite(f.Value)
		}
	case *ast.FuncCallExpr:
		e.Func, e.Receiver = rewrite(e.Func), rewrite(e.Receiver)
		rewriteAll(e.Args)
	case *ast.LogicalOpExpr:
		e.Lhs, e.Rhs = rewrite(e.Lhs), rewrite(e.Rhs)
	case *ast.RelationalOpExpr:
		e.Lhs, e.Rhs = rewrite(e.Lhs), rewrite(e.Rhs)
	case *ast.ArithmeticOpExpr:
		e.Lhs, e.Rhs = rewrite(e.Lhs), rewrite(e.Rhs)
	case *ast.UnaryMinusOpExpr:
		e.Expr = rewrite(e.Expr)
	case *ast.UnaryNotOpExpr:
		e.Expr = rewrite(e.Expr)
	case *ast.UnaryLenOpExpr:
		e.Expr = rewrite(e.Expr)
	case *ast.FunctionExpr:
		rewriteBlock(e.Stmts)
	case *ast.StringConcatOpExpr:
		return joinCall(e)
	}
	return e
}

// joinCall is the call for a chain of "..", which is one of the right side: a..(b..c).
func joinCall(e *ast.StringConcatOpExpr) ast.Expr {
	fn := &ast.IdentExpr{Value: joinName}
	call := &ast.FuncCallExpr{Func: fn, AdjustRet: true} // one result, and no tail call
	fn.SetLine(e.Line())
	call.SetLine(e.Line())
	call.SetLastLine(e.LastLine())
	for rest := ast.Expr(e); ; {
		chain, ok := rest.(*ast.StringConcatOpExpr)
		if !ok || len(call.Args) == maxOperands-1 {
			call.Args = append(call.Args, single(rewrite(rest)))
			return call
		}
		call.Args = append(call.Args, single(rewrite(chain.Lhs)))
		rest = chain.Rhs
	}
}

// single makes an operand one value, where a last argument could be several.
func single(e ast.Expr) ast.Expr {
	switch e := e.(type) {
	case *ast.FuncCallExpr:
		e.AdjustRet = true
	case *ast.Comma3Expr:
		e.AdjustRet = true
	}
	return e
}

// join is "..", from right to left, as the VM does it: texts and numbers are put together,
// and what is neither has the metamethod __concat.
func (s *State) join(L *lua.LState) int {
	right := L.GetTop()
	acc := L.Get(right)
	for right > 1 {
		if !lua.LVCanConvToString(acc) || !lua.LVCanConvToString(L.Get(right-1)) {
			right--
			acc = s.concatMeta(L, L.Get(right), acc)
			continue
		}
		// As many as there are in a row, in one piece.
		last := lua.LVAsString(acc)
		left, size := right, len(last)
		for left > 1 && lua.LVCanConvToString(L.Get(left-1)) {
			left--
			if t, ok := L.Get(left).(lua.LString); ok {
				size += len(t)
			} else {
				size += 24
			}
		}
		s.meter.chargeBytes(L, size)
		var b strings.Builder
		b.Grow(size)
		for i := left; i < right; i++ {
			b.WriteString(lua.LVAsString(L.Get(i)))
		}
		b.WriteString(last)
		acc, right = lua.LString(b.String()), left
	}
	L.Push(acc)
	return 1
}

func (s *State) concatMeta(L *lua.LState, l, r lua.LValue) lua.LValue {
	op := L.GetMetaField(l, "__concat")
	if op == lua.LNil {
		op = L.GetMetaField(r, "__concat")
	}
	if op.Type() != lua.LTFunction {
		L.RaiseError("cannot perform concat operation between %s and %s", s.typeName(l), s.typeName(r))
	}
	L.Push(op)
	L.Push(l)
	L.Push(r)
	L.Call(2, 1)
	v := L.Get(-1)
	L.Pop(1)
	return v
}
