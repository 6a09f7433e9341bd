package object

import "testing"

func TestExecuted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  Error
		want Executed
	}{
		{Error{Code: CodeRaised, Msg: "the order was not executed"}, WasExecuted},
		{Error{Code: CodeInvalid, Reason: ReasonType, Msg: "run: executed: expected integer"}, NotExecuted},
		{Error{Code: CodeInvalid, Msg: "no item stream; it was executed in part"}, WasExecuted},
		{Error{Code: CodeInvalid}, NotExecuted},
		{Error{Code: CodeTooLarge, Msg: "the result is too long; it was executed"}, WasExecuted},
		{Error{Code: CodeTooLarge}, NotExecuted},
		{Error{Code: CodeExhausted, Msg: "limit exceeded: 5 steps; the call was executed in part"}, WasExecuted},
		{Error{Code: CodeExhausted, Msg: "limit exceeded: 5 calls; not executed"}, NotExecuted},
		{Error{Code: CodeDeadline, Msg: "no answer; whether it was executed is unknown"}, ExecutionUnknown},
		{Error{Code: CodeDeadline}, ExecutionUnknown},
		{Error{Code: CodeUnavailable, Msg: "try again; not executed"}, NotExecuted},
		{Error{Code: CodeUnavailable}, ExecutionUnknown},
		{Error{Code: CodeInternal, Msg: "not executed"}, ExecutionUnknown},
		{Error{Code: CodeNotFound}, NotExecuted},
		{Error{Code: CodeRetired}, NotExecuted},
	} {
		if got := tt.err.Executed(); got != tt.want {
			t.Errorf("%+v: executed %s, want %s", tt.err, got, tt.want)
		}
	}
}
